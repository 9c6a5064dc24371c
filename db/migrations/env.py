"""Alembic environment: one transaction under an advisory lock, with time limits.

The connection comes from ``db.migrate``; there is no ``alembic.ini`` and no offline mode.
"""

from alembic import context
from sqlalchemy import text

from db.models import Base

LOCK_KEY = 7_306_218_540  # arbitrary; must be the same in every version
WAIT_FOR_OTHER_MIGRATION = "120s"
LOCK_TIMEOUT = "10s"
STATEMENT_TIMEOUT = "10min"

connection = context.config.attributes["connection"]
# Of two concurrent processes, the second waits here and then finds nothing to do.
connection.execute(text(f"SET LOCAL lock_timeout = '{WAIT_FOR_OTHER_MIGRATION}'"))
connection.execute(text(f"SET LOCAL statement_timeout = '{WAIT_FOR_OTHER_MIGRATION}'"))
connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
# A migration that waits for a table lock blocks all later queries: time out early.
connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
connection.execute(text(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"))

context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
context.run_migrations()
