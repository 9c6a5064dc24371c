"""Databases with the tables of the newest revision."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.demo.embedded import Postgres
from deploy.demo.processes import UPGRADE
from tests.support.services import service_process

_numbers = itertools.count(1)


def upgrade(database_url: str, folder: Path) -> None:
    """Run ``python -m db upgrade``."""
    process = service_process(UPGRADE, {"DATABASE_URL": database_url}, folder)
    with process:
        assert process.wait(60) == 0, process.log


@contextmanager
def fresh_database(postgres: Postgres, template: str) -> Iterator[str]:
    """Yield the URL of a clone of the template; drop it at the end."""
    name = f"test_{next(_numbers)}"
    # Half of the time of the default, which writes every page to the write-ahead log.
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield postgres.url_of(name)
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
