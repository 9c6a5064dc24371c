"""What the review page can be told."""

import ipaddress
import json
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from db.settings import SECRET, CommonSettings
from worker.review.roles import Role

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
MIN_TOKEN_LENGTH = 24
HEADER_PATTERN = r"^[A-Za-z0-9-]{1,64}$"


class TokenHolder(BaseModel):
    """A person or a desk that logs in with a token; ``name`` stands in every record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[\w.@ -]{1,64}$")
    role: Role = Role.VIEWER
    token: SecretStr = Field(min_length=MIN_TOKEN_LENGTH)


def _networks(value: Any) -> Any:
    """Comma-separated addresses or networks; host bits after the prefix are tolerated."""
    if not isinstance(value, str):
        return value
    parts = (part.strip() for part in value.split(","))
    return tuple(ipaddress.ip_network(part, strict=False) for part in parts if part)


class ReviewSettings(CommonSettings):
    """The review page."""

    review_host: str = Field(
        "127.0.0.1",
        description="Address that the review page listens on; others than loopback need TLS"
        " (`TLS_CERT`) or a proxy that has it (`REVIEW_TRUSTED_PROXIES`)",
    )
    review_port: int = Field(8043, ge=1, le=65535, description="Port that it listens on")
    review_tokens: Annotated[tuple[TokenHolder, ...], NoDecode] = Field(
        (),
        description='Who may log in: a JSON list of `{"name", "role", "token"}`; role `viewer`'
        " (may look), `reader` (may also give feedback and enter DXA results) or `operator`"
        f" (may also retry, send again, pause and export labels); tokens have"
        f" {MIN_TOKEN_LENGTH} characters or more",
        repr=False,
        json_schema_extra=SECRET,
    )
    review_trusted_proxies: Annotated[
        tuple[IpNetwork, ...], NoDecode, BeforeValidator(_networks)
    ] = Field(
        (),
        description="Addresses or networks of reverse proxies (comma-separated) whose headers"
        " say who logged in",
    )
    review_user_header: str = Field(
        "X-Remote-User",
        pattern=HEADER_PATTERN,
        description="Header in which a trusted proxy names the user",
    )
    review_role_header: str = Field(
        "X-Remote-Role",
        pattern=HEADER_PATTERN,
        description="Header in which a trusted proxy names roles or groups; those called"
        " `reader` or `operator` count, anybody else may only look",
    )

    @field_validator("review_tokens", mode="before")
    @classmethod
    def _read_tokens(cls, value: object) -> object:
        """Say which entry is wrong and why, without its token."""
        try:
            entries = json.loads(value) if isinstance(value, str) else value
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON: {error}") from None
        if not isinstance(entries, list | tuple):
            raise ValueError("a JSON list is wanted")
        holders = tuple(_holder(number, entry) for number, entry in enumerate(entries, 1))
        if len({holder.name for holder in holders}) < len(holders):
            raise ValueError("each name once")
        if len({holder.token.get_secret_value() for holder in holders}) < len(holders):
            raise ValueError("each token once")
        return holders

    @model_validator(mode="after")
    def _check_doors(self) -> "ReviewSettings":
        """Tokens and sessions must not travel in the clear."""
        if not (self.tls_cert or self.review_trusted_proxies) and not _is_loopback(
            self.review_host
        ):
            raise ValueError(
                "REVIEW_HOST is not a loopback address: set TLS_CERT, or put a proxy with TLS"
                " before it and name that in REVIEW_TRUSTED_PROXIES"
            )
        return self


def _holder(number: int, entry: object) -> TokenHolder:
    if isinstance(entry, TokenHolder):
        return entry
    try:
        return TokenHolder.model_validate(entry)
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise ValueError(f"entry {number}: {where} {problem['msg']}") from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
