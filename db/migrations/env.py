"""Run by Alembic: one transaction under an advisory lock, with time limits.

The connection comes from ``db.migrate``; there is no ``alembic.ini`` and no offline mode.
"""

from alembic import context
from sqlalchemy import text

import db.candidates
import db.models
import db.review_models  # noqa: F401 - with these the base knows all tables
from db.base import Base

LOCK_KEY = 7_306_218_540  # any number, the same in every version
WAIT_FOR_OTHER_MIGRATION = "120s"
LOCK_TIMEOUT = "10s"
STATEMENT_TIMEOUT = "10min"

connection = context.config.attributes["connection"]
# Two processes that start at once: the second waits here, then finds nothing to do.
connection.execute(text(f"SET LOCAL lock_timeout = '{WAIT_FOR_OTHER_MIGRATION}'"))
connection.execute(text(f"SET LOCAL statement_timeout = '{WAIT_FOR_OTHER_MIGRATION}'"))
connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
# A migration that waits for a table lock blocks everybody behind it: give up soon instead.
connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
connection.execute(text(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"))

context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
context.run_migrations()
