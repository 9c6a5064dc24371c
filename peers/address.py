"""Addresses of PACS as the settings name them."""

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


class DimsePeer(BaseModel):
    """An Application Entity."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["dimse"]
    ae_title: str = Field(pattern=AE_TITLE_PATTERN)
    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    tls: bool = False


class DicomwebPeer(BaseModel):
    """A web server; ``url`` is the root of its DICOMweb services."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["dicomweb"]
    url: AnyHttpUrl
    token: SecretStr | None = None

    @field_validator("token")
    @classmethod
    def _check_token(cls, token: SecretStr | None) -> SecretStr | None:
        """What cannot be sent in an HTTP header (RFC 6750 2.1) is a mistake of the settings."""
        if token is not None and not re.fullmatch(r"[!-~]+", token.get_secret_value()):
            raise ValueError("visible ASCII characters are wanted")
        return token

    @property
    def root(self) -> str:
        """The URL without a slash at its end."""
        return str(self.url).rstrip("/")


def read_json(value: Any) -> Any:
    """What a setting holds as JSON; a value that is no text is left as it is."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None


def read_peer(adapter: TypeAdapter[T], entry: Any, *, where: str = "") -> T:
    """An address; raises ValueError that says what is wrong with it, without its token."""
    try:
        return adapter.validate_python(entry)
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]
        kinds = ("dimse", "dicomweb")
        field = ".".join(str(part) for part in problem["loc"] if part not in kinds)
        line = " ".join(part for part in (where, field, problem["msg"]) if part)
        raise ValueError(line) from None
