"""Engine and sessions. The isolation level is said here, once."""

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.orm import Session, sessionmaker

CONNECT_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_MS = 60_000
LOCK_TIMEOUT_MS = 10_000
TCP_USER_TIMEOUT_MS = 30_000


def make_engine(database_url: str, *, application_name: str) -> Engine:
    """An engine whose connections are checked before use and give up on a stuck server.

    READ COMMITTED, because every race is decided by a conditional update or a row lock.
    """
    # SQLAlchemy 2.1 reads a bare ``postgresql://`` as psycopg 3.
    url = make_url(database_url).set(drivername="postgresql+psycopg2")
    return create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        hide_parameters=True,  # an error's text would carry patient data into logs
        pool_size=5,
        max_overflow=10,
        connect_args={
            "application_name": application_name,
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            # A server that vanished without a word is noticed within half a minute.
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


def make_sessions(engine: Engine) -> sessionmaker[Session]:
    """``with sessions.begin() as session:`` is one transaction."""
    return sessionmaker(engine, expire_on_commit=False)
