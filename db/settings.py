"""Settings that both services share. A wrong value stops the process with one line."""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from psycopg2 import ProgrammingError  # type: ignore[import-untyped]
from psycopg2.extensions import make_dsn  # type: ignore[import-untyped]
from pydantic import BeforeValidator, Field, FilePath, ValidationError, field_validator
from pydantic.config import JsonDict
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from db.setting_files import FileSource, UnreadableFile
from db.setting_names import PREFIX, misspelt
from db.tls import Tls

SECRET: JsonDict = {"secret": True}
"""``json_schema_extra`` of a field whose value may hold a password or token: never printed."""


def split_list(value: Any) -> Any:
    """A comma-separated or JSON list; anything else is left to the validation."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


# PS3.5 6.2, VR AE: at most 16 characters, no backslash or control character, not only spaces.
AeTitle = Annotated[str, Field(max_length=16, pattern=r"^ *[!-\[\]-~][ -\[\]-~]*$")]


class CommonSettings(BaseSettings):
    """Database, broker, spool, who may send, log and metrics."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,  # ``SPOOL_DIR=`` means "not set", not the current folder
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    database_url: str = Field(
        "postgresql+psycopg2://osteoscreen@localhost/osteoscreen",
        description="SQLAlchemy URL of the PostgreSQL database",
        pattern=r"^postgresql(\+psycopg2)?://",
        repr=False,
        json_schema_extra=SECRET,
    )
    broker_url: str = Field(
        "redis://localhost:6379/0",
        description="Celery broker: a Redis URL (redis, rediss or redis+socket)",
        pattern=r"^(rediss?|redis\+socket)://",
        repr=False,
        json_schema_extra=SECRET,
    )
    spool_dir: Path = Field(
        Path("spool"), description="Folder of received instances and of results"
    )
    allowed_calling_aets: Annotated[
        tuple[AeTitle, ...], NoDecode, BeforeValidator(split_list)
    ] = Field(
        (),
        description="AE titles that may send to the Storage SCP (comma-separated); everybody"
        " when empty. `doctor` looks whether the destinations are among them",
    )
    log_format: Literal["text", "json"] = Field("text", description="Form of a log line")
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port of the Prometheus endpoint; off when unset"
    )
    tls_ca: FilePath | None = Field(
        None, description="Certificates (PEM) that TLS peers are checked against"
    )
    tls_cert: FilePath | None = Field(
        None,
        description="Our TLS certificate (PEM): the Storage SCP speaks TLS only when it is set,"
        " deliveries show it",
    )
    tls_key: FilePath | None = Field(
        None, description="Key of our TLS certificate (PEM), without a password"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, environment, files that the environment names, ``.env``."""
        return init_settings, env_settings, FileSource(settings_cls), dotenv_settings

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str) -> str:
        """Say at the start what SQLAlchemy and libpq would say at the first connection."""
        try:
            query = make_url(value).query
        except (ArgumentError, ValueError):
            raise ValueError("not a URL (special characters must be %-encoded)") from None
        try:
            make_dsn(**query)
        except ProgrammingError as error:
            raise ValueError(str(error).strip()) from None
        return value

    @field_validator("broker_url")
    @classmethod
    def _check_broker_url(cls, value: str) -> str:
        """The same for kombu: it would not say it before the first message."""
        if value.startswith("redis+socket:"):
            return value
        try:
            parts = urlsplit(value)
            _ = parts.port
        except ValueError:
            raise ValueError("not a URL (special characters must be %-encoded)") from None
        if not re.fullmatch(r"/?\d*", parts.path):
            raise ValueError("the path is the number of a Redis database")
        return value

    def may_call(self, ae_title: str) -> bool:
        """Whether the Storage SCP admits this calling AE title; an empty list admits all."""
        allowed = {title.strip() for title in self.allowed_calling_aets}
        return not allowed or ae_title.strip() in allowed

    @property
    def tls(self) -> Tls:
        """Our files for TLS."""
        return Tls(self.tls_ca, self.tls_cert, self.tls_key)


S = TypeVar("S", bound=BaseSettings)


def load_settings(cls: type[S]) -> S:
    """Read the settings of one room, or exit 2 with one line a wrong setting."""
    try:
        settings = cls()
        names = [*os.environ, *DotEnvSettingsSource(cls).env_vars]
    except ValidationError as error:
        lines = [_line(cls, problem) for problem in error.errors(include_url=False)]
    except UnreadableFile as error:
        lines = [str(error)]
    except SettingsError as error:  # a list or table that is not JSON
        lines = [f"{PREFIX}…: {error}"]
    except (OSError, UnicodeDecodeError) as error:
        lines = [f".env cannot be read ({type(error).__name__})"]
    else:
        if not (lines := _complain(names)):
            return settings
    print("\n".join(lines), file=sys.stderr)
    raise SystemExit(2)


def _complain(names: Iterable[str]) -> list[str]:
    """One line for each name that is nearly a setting's: an allow-list must not get lost so.

    A name that resembles none is only mentioned; it may be somebody else's.
    """
    unknown = misspelt(names)
    for name, meant in unknown:
        if meant is None:
            print(f"{name}: not a setting, ignored", file=sys.stderr)
    return [f"{name}: not a setting; is {meant} meant?" for name, meant in unknown if meant]


@contextmanager
def blame(setting: str, value: object) -> Iterator[None]:
    """Exit 2 with one line that names the setting when the block meets an OSError."""
    try:
        yield
    except OSError as error:
        problem = error.strerror or type(error).__name__
        print(f"{PREFIX}{setting}: {problem} (got {str(value)!r})", file=sys.stderr)
        raise SystemExit(2) from None


def _line(cls: type[BaseSettings], problem: Any) -> str:
    """The setting, what is wrong with it and, unless it may hold a secret, what it was."""
    name, *within = (str(part) for part in problem["loc"]) if problem["loc"] else ("",)
    line = f"{PREFIX}{'.'.join((name.upper(), *within))}: {problem['msg']}"
    field = cls.model_fields.get(name)
    if within or field is None or field.json_schema_extra == SECRET:
        return line
    return f"{line} (got {problem['input']!r})"
