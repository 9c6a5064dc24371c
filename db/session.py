"""Database engine, sessions and errors.

Other packages import ``Engine``, ``Session``, ``Sessions`` and the errors from here, because
SQLAlchemy is imported in ``db`` only.
"""

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import DataError as InvalidValue
from sqlalchemy.exc import DBAPIError as DriverError
from sqlalchemy.exc import OperationalError as DatabaseUnavailable
from sqlalchemy.exc import SQLAlchemyError as DatabaseError
from sqlalchemy.orm import Session, sessionmaker

__all__ = [
    "DatabaseError",
    "DatabaseUnavailable",
    "DriverError",
    "Engine",
    "InvalidValue",
    "Session",
    "Sessions",
    "make_engine",
    "make_sessions",
]

Sessions = sessionmaker[Session]
"""Session factory; ``with sessions.begin() as session:`` is one transaction."""

CONNECT_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_MS = 60_000
LOCK_TIMEOUT_MS = 10_000
TCP_USER_TIMEOUT_MS = 30_000


def make_engine(database_url: str, *, application_name: str) -> Engine:
    """Return an engine that tests connections before use and times out on a stuck server.

    The isolation level is READ COMMITTED: every race is decided by a conditional update or a
    row lock.
    """
    # SQLAlchemy 2.1 reads a bare ``postgresql://`` as psycopg 3.
    url = make_url(database_url).set(drivername="postgresql+psycopg2")
    return create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        hide_parameters=True,  # error messages would carry patient data into logs
        pool_size=5,
        max_overflow=10,
        connect_args={
            "application_name": application_name,
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            # A server that became unreachable is detected within half a minute.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
            "options": (
                f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT_MS}"
                f" -c lock_timeout={LOCK_TIMEOUT_MS}"
            ),
        },
    )


def make_sessions(engine: Engine, *, audit: bool = False) -> Sessions:
    """Return a session factory for ``engine``; ``audit``: whether ``db.audit.note`` writes."""
    return sessionmaker(engine, expire_on_commit=False, info={"audit": audit})
