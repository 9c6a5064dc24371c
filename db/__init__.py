"""Database: SQLAlchemy models, Alembic migrations, and one module of queries per subject."""
