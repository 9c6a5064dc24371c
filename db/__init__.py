"""The record: PostgreSQL models, migrations and queries, and what both services share
(common settings, spool, telemetry)."""
