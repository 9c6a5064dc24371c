"""Checks of everything that a screening needs; each failure comes with its remedy."""

from collections.abc import Iterator
from pathlib import Path

from kombu import Connection
from sqlalchemy.exc import SQLAlchemyError

from db.migrate import SchemaNotCurrent, newest, require_current_schema
from db.session import make_engine
from db.spool import SpoolWriter, free_bytes
from worker.check import Check, first_line, without_password
from worker.doctor_destination import check_destination
from worker.settings import WorkerSettings

# 100 slices of 512 × 512 × 2 bytes are 50 MB: room for twenty series.
LOW_SPACE_BYTES = 1_000_000_000
BROKER_SECONDS = 5


def run_checks(settings: WorkerSettings) -> Iterator[Check]:
    """All checks, one after the other; none raises."""
    yield check_database(settings)
    yield check_broker(settings)
    yield check_spool(settings.spool_dir)
    yield check_model(settings.model_dir)
    if not settings.destinations:
        yield Check(
            "destinations",
            ok=True,
            detail="none: results stay in the spool (OSTEOSCREEN_DESTINATIONS)",
        )
    for destination in settings.destinations:
        yield check_destination(destination, settings)


def check_database(settings: WorkerSettings) -> Check:
    """Does PostgreSQL answer, and has it this version's tables?"""
    engine = make_engine(settings.database_url, application_name="osteoscreen doctor")
    where = without_password(settings.database_url)
    try:
        require_current_schema(engine)
    except SchemaNotCurrent as error:
        return Check("database", False, str(error), "run `python -m db upgrade`")
    except SQLAlchemyError as error:
        text = first_line(getattr(error, "orig", None) or error)
        remedy = "start PostgreSQL, or correct OSTEOSCREEN_DATABASE_URL"
        return Check("database", False, f"{where}: {text}", remedy)
    finally:
        engine.dispose()
    return Check("database", True, f"{where}, schema {newest()}")


def check_broker(settings: WorkerSettings) -> Check:
    """Does Redis answer?"""
    where = without_password(settings.broker_url)
    try:
        with Connection(settings.broker_url, connect_timeout=BROKER_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
    except Exception as error:  # whatever the transport raises, the answer is "no"
        remedy = "start Redis, or correct OSTEOSCREEN_BROKER_URL"
        return Check("broker", False, f"{where}: {first_line(error)}", remedy)
    return Check("broker", True, where)


def check_spool(spool_dir: Path) -> Check:
    """Can files be written, and is there room?"""
    probe = spool_dir / "doctor.probe"
    try:
        writer = SpoolWriter(spool_dir)
        writer.prepare()
        writer.write(probe, [b"probe"])
        probe.unlink()
        free = free_bytes(spool_dir)
    except OSError as error:
        remedy = "make the folder writable for this user, or correct OSTEOSCREEN_SPOOL_DIR"
        return Check("spool", False, f"{spool_dir}: {error.strerror}", remedy)
    detail = f"{spool_dir.resolve()}, {free / 1e9:.1f} GB free"
    if free < LOW_SPACE_BYTES:
        remedy = "free disk space, or lower OSTEOSCREEN_RETENTION_DAYS"
        return Check("spool", False, detail, remedy)
    return Check("spool", True, detail)


def check_model(model_dir: Path) -> Check:
    """Does the model load, unaltered?"""
    from worker import package  # TensorFlow: seconds

    try:
        info = package.load(model_dir).info
    except package.ModelError as error:
        remedy = "correct OSTEOSCREEN_MODEL_DIR, or install the model package again"
        return Check("model", False, first_line(error), remedy)
    return Check("model", True, f"{info.name} {info.version}, SHA-256 {info.sha256[:16]}…")
