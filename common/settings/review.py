"""Settings of the review page."""

import json
from enum import StrEnum
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from common.settings.base import SECRET, CommonSettings, IpNetworks, is_loopback

MIN_TOKEN_LENGTH = 32
HEADER_PATTERN = r"^[A-Za-z0-9-]{1,64}$"


class Role(StrEnum):
    """Role of a user, in ascending order of permissions."""

    VIEWER = "viewer"
    """View results."""
    READER = "reader"
    """Also give feedback and enter DXA results."""
    OPERATOR = "operator"
    """Also retry, send again, pause destinations and export labels."""

    def allows(self, required: "Role") -> bool:
        """Return whether this role has all permissions of ``required``."""
        order = tuple(Role)
        return order.index(self) >= order.index(required)


class TokenHolder(BaseModel):
    """A person or workstation that logs in with a token; ``name`` appears in the audit log."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[\w.@ -]{1,64}$")
    role: Role = Role.VIEWER
    token: SecretStr = Field(min_length=MIN_TOKEN_LENGTH)


class ReviewSettings(CommonSettings):
    """Settings of the review page."""

    review_host: str = Field(
        "127.0.0.1",
        description="Address that the review page listens on; any address but loopback needs"
        " TLS (`TLS_CERT`) or a proxy with TLS (`REVIEW_TRUSTED_PROXIES`)",
    )
    review_port: int = Field(
        8043, ge=1, le=65535, description="Port that the review page listens on"
    )
    review_tokens: Annotated[tuple[TokenHolder, ...], NoDecode] = Field(
        (),
        description='Users: a JSON list of `{"name", "role", "token"}`; role `viewer` (view'
        " results), `reader` (also give feedback and enter DXA results) or `operator` (also"
        f" retry, send again, pause and export labels); tokens have at least {MIN_TOKEN_LENGTH}"
        " characters",
        repr=False,
        json_schema_extra=SECRET,
    )
    review_idle_minutes: int = Field(
        30,
        ge=1,
        le=720,
        description="Minutes without a request after which a user who logged in with a token is"
        " logged off; 12 hours after the login in any case",
    )
    review_trusted_proxies: IpNetworks = Field(
        (),
        description="Addresses of reverse proxies with TLS (comma-separated, each a single"
        " address), whose `X-Forwarded-For` is trusted",
    )
    review_user_header: str | None = Field(
        None,
        pattern=HEADER_PATTERN,
        description="Header in which a trusted proxy names the user that it has authenticated,"
        " for example `X-Remote-User`; no header is accepted when unset",
    )
    review_role_header: str = Field(
        "X-Remote-Role",
        pattern=HEADER_PATTERN,
        description="Header in which a trusted proxy names roles or groups; `reader` and"
        " `operator` are recognized, any other user is a `viewer`",
    )

    @field_validator("review_tokens", mode="before")
    @classmethod
    def _read_tokens(cls, value: object) -> object:
        """Parse the list; the error names the entry and the problem without its token."""
        try:
            entries = json.loads(value) if isinstance(value, str) else value
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON: {error}") from None
        if not isinstance(entries, list | tuple):
            raise ValueError("must be a JSON list")
        holders = tuple(_holder(number, entry) for number, entry in enumerate(entries, 1))
        if len({holder.name for holder in holders}) < len(holders):
            raise ValueError("names must be unique")
        if len({holder.token.get_secret_value() for holder in holders}) < len(holders):
            raise ValueError("tokens must be unique")
        return holders

    @field_validator("review_trusted_proxies")
    @classmethod
    def _require_single_addresses(cls, value: IpNetworks) -> IpNetworks:
        """Reject networks: any machine in one could log in as any user."""
        wide = [str(network) for network in value if network.num_addresses > 1]
        if wide:
            raise ValueError(f"{', '.join(wide)} is a network; list single addresses")
        return value

    @model_validator(mode="after")
    def _require_encryption(self) -> "ReviewSettings":
        """Reject settings that would send tokens and sessions unencrypted."""
        encrypted = self.tls_cert or self.review_trusted_proxies
        if not encrypted and not is_loopback(self.review_host):
            raise ValueError(
                "REVIEW_HOST is not a loopback address: set TLS_CERT, or list a proxy with TLS"
                " in REVIEW_TRUSTED_PROXIES"
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
