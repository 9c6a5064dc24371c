"""Addresses of PACS in the settings."""

import json
import re
from typing import Any, Literal, TypeVar

from pydantic import (
    AnyHttpUrl,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
)

# PS3.5 6.2, VR AE: at most 16 characters of the default repertoire, no backslash, not blank.
AE_TITLE_PATTERN = r"^[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]{0,15}$"

T = TypeVar("T")


def check_bearer_token(token: SecretStr | None) -> SecretStr | None:
    """Return the token; raise ValueError if no HTTP header can carry it (RFC 6750 2.1)."""
    if token is not None and not re.fullmatch(r"[!-~]+", token.get_secret_value()):
        raise ValueError("must have visible ASCII characters only")
    return token


class DimsePeer(BaseModel):
    """An Application Entity."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["dimse"]
    ae_title: str = Field(pattern=AE_TITLE_PATTERN)
    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    tls: bool = False


class DicomwebPeer(BaseModel):
    """A DICOMweb server; ``url`` is the root of its services."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["dicomweb"]
    url: AnyHttpUrl
    token: SecretStr | None = None

    @field_validator("token")
    @classmethod
    def _check_token(cls, token: SecretStr | None) -> SecretStr | None:
        return check_bearer_token(token)

    @property
    def root(self) -> str:
        """The URL without a trailing slash."""
        return str(self.url).rstrip("/")


def read_json(value: Any) -> Any:
    """Parse a setting that holds JSON; return a value that is not text unchanged.

    Raises ValueError.
    """
    try:
        return json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None


def read_peer(adapter: TypeAdapter[T], entry: Any, *, where: str = "") -> T:
    """Validate an address; raises ValueError whose text does not contain the token."""
    try:
        return adapter.validate_python(entry)
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]
        kinds = ("dimse", "dicomweb")
        field = ".".join(str(part) for part in problem["loc"] if part not in kinds)
        line = " ".join(part for part in (where, field, problem["msg"]) if part)
        raise ValueError(line) from None
