"""Settings that all services share, and the types of their values."""

import ipaddress
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, parse_qsl, urlsplit

from psycopg2 import ProgrammingError  # type: ignore[import-untyped]
from psycopg2.extensions import make_dsn  # type: ignore[import-untyped]
from pydantic import BeforeValidator, Field, FilePath, field_validator
from pydantic.config import JsonDict
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from common.dicomnet.address import AE_TITLE_PATTERN
from common.settings.files import PREFIX, FileSource
from common.times import is_time_zone
from common.tls import Tls

SECRET: JsonDict = {"secret": True}
"""``json_schema_extra`` of a field that may hold a password or token and is never printed."""


def split_list(value: Any) -> Any:
    """Split a comma-separated or JSON list; return any other value unchanged."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def is_loopback(host: str | None) -> bool:
    """Return whether a host is ``localhost`` or a loopback address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _parse_network(value: Any) -> Any:
    """Parse ``10.1.2.3`` or ``10.1.0.0/16``; host bits after the prefix are ignored."""
    return ipaddress.ip_network(value, strict=False) if isinstance(value, str) else value


def _parse_address(value: Any) -> Any:
    """Parse ``host:port``; the address of IPv6 in brackets."""
    if not isinstance(value, str):
        return value
    host, _, port = value.strip().rpartition(":")
    if not host:
        raise ValueError("expected host:port")
    return host.removeprefix("[").removesuffix("]"), port


AeTitle = Annotated[str, Field(pattern=AE_TITLE_PATTERN)]
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IpNetworks = Annotated[
    tuple[Annotated[IpNetwork, BeforeValidator(_parse_network)], ...],
    NoDecode,
    BeforeValidator(split_list),
]


class CommonSettings(BaseSettings):
    """Settings of database, broker, spool, allowed senders, log, metrics and TLS."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,  # ``SPOOL_DIR=`` means "unset", not the current folder
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    database_url: str = Field(
        "postgresql+psycopg2://osteoscreen@localhost/osteoscreen",
        description="SQLAlchemy URL of the PostgreSQL database;"
        " `?sslmode=verify-full&sslrootcert=FILE` for TLS",
        pattern=r"^postgresql(\+psycopg2)?://",
        repr=False,
        json_schema_extra=SECRET,
    )
    broker_url: str = Field(
        "redis://localhost:6379/0",
        description="Celery broker: a Redis URL (redis, rediss or redis+socket);"
        " `rediss://…?ssl_ca_certs=FILE` names the authority of its certificate",
        pattern=r"^(rediss?|redis\+socket)://",
        repr=False,
        json_schema_extra=SECRET,
    )
    spool_dir: Path = Field(
        Path("spool"), description="Folder of received instances and of results"
    )
    min_free_mb: int = Field(
        1024,
        ge=0,
        description="Free disk space of the spool to keep, MB: below it the Storage SCP refuses"
        " instances (status 0xA700), and `doctor` fails",
    )
    allowed_calling_aets: Annotated[
        tuple[AeTitle, ...], NoDecode, BeforeValidator(split_list)
    ] = Field(
        (),
        description="AE titles that may send to the Storage SCP (comma-separated); all when"
        " empty. `doctor` checks whether the destinations are among them",
    )
    log_format: Literal["text", "json"] = Field("text", description="Format of log lines")
    time_zone: str | None = Field(
        None,
        description="Time zone of times in output, pages and reports, such as `Europe/Berlin`;"
        " that of the host when unset. Log lines are in UTC",
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port of the Prometheus endpoint; off when unset"
    )
    health_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port of `/health/live` and `/health/ready` alone, apart from the metrics;"
        " off when unset. They also answer on the port of the metrics",
    )
    tls_ca: FilePath | None = Field(
        None,
        description="CA certificates (PEM) that certificates of TLS peers are verified against",
    )
    tls_cert: FilePath | None = Field(
        None,
        description="Own TLS certificate (PEM): the Storage SCP uses TLS only when it is set;"
        " deliveries present it",
    )
    tls_key: FilePath | None = Field(
        None, description="Key of the TLS certificate (PEM), without a password"
    )

    audit_syslog: Annotated[
        tuple[str, Annotated[int, Field(ge=1, le=65535)]] | None,
        NoDecode,
        BeforeValidator(_parse_address),
    ] = Field(
        None,
        description="Audit record repository as `host:port`: audit messages (DICOM PS3.15 A.5)"
        " are sent there by syslog over TLS (RFC 5425, port 6514 as a rule), with `TLS_CA` and,"
        " if set, `TLS_CERT`; no audit messages when unset. Set it for all services alike",
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
        """Order of precedence: arguments, environment, ``…_FILE`` variables, ``.env``."""
        return init_settings, env_settings, FileSource(settings_cls), dotenv_settings

    @field_validator("time_zone")
    @classmethod
    def _check_time_zone(cls, value: str | None) -> str | None:
        if value is not None and not is_time_zone(value):
            raise ValueError("not a time zone of this host, such as Europe/Berlin or UTC")
        return value

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str) -> str:
        """Find errors at start that libpq would report only at the first connection."""
        parts = _split_url(value)
        try:
            make_dsn(**dict(parse_qsl(parts.query, keep_blank_values=True)))
        except ProgrammingError as error:
            raise ValueError(str(error).strip()) from None
        return value

    @field_validator("broker_url")
    @classmethod
    def _check_broker_url(cls, value: str) -> str:
        """Find errors at start that kombu would report only at the first message.

        kombu accepts any certificate of a ``rediss`` server unless the URL says otherwise.
        """
        if value.startswith("redis+socket:"):
            return value
        parts = _split_url(value)
        if not re.fullmatch(r"/?\d*", parts.path):
            raise ValueError("the path must be the number of a Redis database")
        if parts.scheme == "rediss" and "ssl_cert_reqs=" not in parts.query:
            query = "&".join(filter(None, (parts.query, "ssl_cert_reqs=required")))
            return parts._replace(query=query).geturl()
        return value

    def may_call(self, ae_title: str) -> bool:
        """Return whether the Storage SCP accepts a calling AE title (an empty list: any)."""
        allowed = {title.strip() for title in self.allowed_calling_aets}
        return not allowed or ae_title.strip() in allowed

    @property
    def tls(self) -> Tls:
        """The PEM files for TLS."""
        return Tls(self.tls_ca, self.tls_cert, self.tls_key)


def _split_url(value: str) -> SplitResult:
    """Split a URL; raise ValueError for an invalid port or bracket."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("not a valid URL (special characters must be %-encoded)") from None
    return parts
