"""Databases with the tables of the newest revision."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url

from db import roles
from db.session import make_engine
from deploy.demo.embedded import Postgres
from deploy.demo.processes import UPGRADE
from tests.support.services import service_process

PASSWORD = "for tests: %/@"  # noqa: S105 - characters that a URL must escape

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


def create_service_roles(database_url: str) -> None:
    """Create the roles of the services, and grant them their rights on a database."""
    engine = make_engine(database_url, application_name="tests")
    roles.create_roles(engine, [roles.Login(name, PASSWORD) for name in roles.RIGHTS])
    engine.dispose()


def service_url(database_url: str, service: str) -> str:
    """Return the URL of a database for the role of a service."""
    url = make_url(database_url).set(username=f"osteoscreen_{service}", password=PASSWORD)
    return url.render_as_string(hide_password=False)
