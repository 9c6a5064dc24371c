"""Settings that both services share. A wrong value stops the process with one line."""

import sys
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "OSTEOSCREEN_"


class CommonSettings(BaseSettings):
    """Database, broker, spool, log and metrics."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True
    )

    database_url: str = Field(
        "postgresql+psycopg2://osteoscreen@localhost/osteoscreen",
        description="SQLAlchemy URL of the PostgreSQL database",
        pattern=r"^postgresql(\+psycopg2)?://",
    )
    broker_url: str = Field(
        "redis://localhost:6379/0",
        description="Celery broker: a Redis URL (redis, rediss or redis+socket)",
        pattern=r"^(rediss?|redis\+socket)://",
    )
    spool_dir: Path = Field(
        Path("spool"), description="Folder of received instances and of results"
    )
    log_format: Literal["text", "json"] = Field("text", description="Form of a log line")
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port of the Prometheus endpoint; off when unset"
    )


S = TypeVar("S", bound=BaseSettings)


def load_settings(cls: type[S]) -> S:
    """Read the settings of one room, or exit 2 with one line a wrong setting."""
    try:
        return cls()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"][:1]).upper()
            print(
                f"{PREFIX}{name}: {problem['msg']} (got {problem['input']!r})", file=sys.stderr
            )
        raise SystemExit(2) from None
