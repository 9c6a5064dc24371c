"""Checks of everything that a screening needs, with a remedy for each failure."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kombu import Connection

from common.audit.syslog import SyslogServer, send_messages
from common.settings.worker import WorkerSettings
from common.spool.disk_space import free_bytes
from common.spool.quarantine import list_quarantined
from db.migrate import SchemaNotCurrent, newest, require_current_schema
from db.server_state import ServerState, server_state
from db.session import DatabaseError, make_engine
from worker.diagnostics.certificate import check_certificate
from worker.diagnostics.destination import check_destination
from worker.diagnostics.diagnostic import Diagnostic, first_line, without_password
from worker.diagnostics.models import check_models
from worker.diagnostics.record_checks import check_record
from worker.diagnostics.service import check_owners, check_settings, check_user

# 100 slices of 512 × 512 × 2 bytes are 50 MB: space for twenty series.
LOW_SPACE_BYTES = 1_000_000_000
BROKER_SECONDS = 5
CLOCK_SECONDS = 60.0
MEGABYTE = 1024 * 1024


def run_checks(settings: WorkerSettings) -> Iterator[Diagnostic]:
    """Run all checks in order; none of them raises, or creates or changes anything."""
    yield check_settings(settings)
    yield check_user(settings.spool_dir)
    yield check_database(settings)
    yield check_broker(settings)
    if settings.tls_cert is not None:
        yield check_certificate(settings)
    yield check_spool(settings.spool_dir, settings.min_free_mb)
    yield check_owners(settings.spool_dir)
    yield check_quarantine(settings.spool_dir)
    yield from check_record(settings)
    yield from check_models(settings)
    if settings.audit_syslog is not None:
        yield check_audit(settings)
    if not settings.destinations:
        yield Diagnostic(
            "destinations",
            ok=True,
            detail="none: results stay in the spool (OSTEOSCREEN_DESTINATIONS)",
        )
    for destination in settings.destinations:
        yield check_destination(destination, settings)


def check_database(settings: WorkerSettings) -> Diagnostic:
    """Check that PostgreSQL answers and has the tables of this version."""
    engine = make_engine(settings.database_url, application_name="osteoscreen doctor")
    where = without_password(settings.database_url)
    try:
        require_current_schema(engine)
        state = server_state(engine)
    except SchemaNotCurrent as error:
        return Diagnostic("database", False, str(error), "run `python -m db upgrade`")
    except DatabaseError as error:
        text = first_line(getattr(error, "orig", None) or error)
        remedy = "start PostgreSQL, or correct OSTEOSCREEN_DATABASE_URL"
        return Diagnostic("database", False, f"{where}: {text}", remedy)
    finally:
        engine.dispose()
    return _database_state(where, state)


def _database_state(where: str, state: ServerState) -> Diagnostic:
    if state.read_only:
        remedy = "end the read-only mode of PostgreSQL, or correct OSTEOSCREEN_DATABASE_URL"
        return Diagnostic("database", False, f"{where}: it accepts no writes", remedy)
    seconds = state.ahead.total_seconds()
    if abs(seconds) > CLOCK_SECONDS:
        by = "ahead of" if seconds > 0 else "behind"
        detail = f"{where}: its clock is {abs(seconds):.0f} s {by} that of this host"
        remedy = "set both clocks by NTP; leases, retries and times in reports depend on them"
        return Diagnostic("database", False, detail, remedy)
    return Diagnostic("database", True, f"{where}, schema {newest()}")


def check_broker(settings: WorkerSettings) -> Diagnostic:
    """Check that Redis answers."""
    where = without_password(settings.broker_url)
    try:
        with Connection(settings.broker_url, connect_timeout=BROKER_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
    except Exception as error:  # each transport has errors of its own
        remedy = "start Redis, or correct OSTEOSCREEN_BROKER_URL"
        return Diagnostic("broker", False, f"{where}: {first_line(error)}", remedy)
    return Diagnostic("broker", True, where)


def check_audit(settings: WorkerSettings) -> Diagnostic:
    """Check that the audit record repository accepts TLS; no message is sent."""
    host, port = settings.audit_syslog or ("", 0)
    try:
        send_messages(SyslogServer(host, port), settings.tls, ())
    except (OSError, ValueError) as error:
        remedy = (
            "start the repository, or correct OSTEOSCREEN_AUDIT_SYSLOG or OSTEOSCREEN_TLS_CA"
        )
        return Diagnostic("audit", False, f"{host}:{port}: {first_line(error)}", remedy)
    return Diagnostic("audit", True, f"{host}:{port}")


def check_spool(spool_dir: Path, min_free_mb: int) -> Diagnostic:
    """Check that files can be written and that there is free space; leave no file."""
    try:
        with tempfile.TemporaryFile(dir=spool_dir) as probe:  # without a name
            probe.write(b"probe")
            probe.flush()
            os.fsync(probe.fileno())
        free = free_bytes(spool_dir)
    except FileNotFoundError:
        remedy = "start the services, which create it, or correct OSTEOSCREEN_SPOOL_DIR"
        return Diagnostic("spool", False, f"{spool_dir.absolute()}: no such folder", remedy)
    except OSError as error:
        remedy = "make the folder writable for this user, or correct OSTEOSCREEN_SPOOL_DIR"
        return Diagnostic("spool", False, f"{spool_dir}: {error.strerror}", remedy)
    detail = f"{spool_dir.resolve()}, {free / 1e9:.1f} GB free"
    refused = free < min_free_mb * MEGABYTE
    if refused:
        detail += f", below OSTEOSCREEN_MIN_FREE_MB={min_free_mb}: senders get 0xA700"
    if refused or free < LOW_SPACE_BYTES:
        remedy = "free disk space, or lower OSTEOSCREEN_RETENTION_DAYS"
        return Diagnostic("spool", False, detail, remedy)
    return Diagnostic("spool", True, detail)


def check_quarantine(spool_dir: Path) -> Diagnostic:
    """Check that no received file was moved out of the way."""
    files = list_quarantined(spool_dir)
    if not files:
        return Diagnostic("quarantine", True, "empty")
    return Diagnostic(
        "quarantine",
        False,
        f"files that are not read: {len(files)}, such as {files[0]}",
        "look for `file_quarantined` in the log of storescp; delete the files, or move them"
        " back into the spool to be read again",
    )
