"""What the PostgreSQL server says of itself: its clock, and whether it accepts writes."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from db.session import Engine


@dataclass(frozen=True, slots=True)
class ServerState:
    """``ahead`` : of the server's clock before that of this host."""

    read_only: bool
    ahead: timedelta


def server_state(engine: Engine) -> ServerState:
    """Ask the server; raises DatabaseError."""
    with engine.connect() as connection:
        read_only, server_now = connection.execute(
            text("SELECT current_setting('transaction_read_only') = 'on', clock_timestamp()")
        ).one()
    return ServerState(read_only, server_now - datetime.now(UTC))
