"""``python -m storescp``: serve until SIGTERM."""

import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from queue import SimpleQueue

from common import health
from common.logging import configure_logging, get_logger
from common.metrics import SPOOL_FREE_BYTES, sum_registries
from common.settings.load import exit_on_oserror, load_settings
from common.settings.storescp import StoreScpSettings
from common.spool.disk_space import free_bytes_or_nan
from common.spool.writer import SpoolWriter, clean_incoming
from common.task_publisher import TaskPublisher
from db.audit import note_activity
from db.migrate import SchemaNotCurrent, database_probe, require_current_schema
from db.session import DatabaseUnavailable, Engine, make_engine, make_sessions
from storescp.association.admission import peer_is_allowed
from storescp.association.listener import SPARE_CONNECTIONS
from storescp.association.server import StorageServer
from storescp.commitment.report_handler import CommitmentReportHandler
from storescp.processes.channel import AssociationsProxy
from storescp.processes.receiver_pool import ReceiverPool
from storescp.processes.waiting_connections import WaitingConnections
from storescp.registration.associations import Associations
from storescp.registration.pending_series import PendingSeries
from storescp.registration.register import Registrar
from storescp.source_pacs.poller import make_source_poller
from storescp.store.store_operation import StorageService
from storescp.stow.server import StowServer, make_stow_server

log = get_logger("storescp")


def main() -> None:
    """Serve until SIGTERM or SIGINT, then stop accepting, finish and exit 0.

    Exit 1 when a receiver process has ended, so that the supervisor restarts the service.
    """
    settings = load_settings(StoreScpSettings)
    _require_senders(settings)
    configure_logging(settings.log_format)
    # A signal may interrupt the wait anywhere: ``put`` is reentrant, ``Event.set`` is not and
    # would wait for a lock that the interrupted thread has.
    stop: SimpleQueue[None] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.put(None))
    with ExitStack() as services:
        receivers = _start_services(settings, services, on_failure=lambda: stop.put(None))
        stop.get()
        log.info("storescp_stopping")
    log.info("storescp_stopped")
    if receivers.failed:
        sys.exit("storescp: a receiver process ended; restart the service")


def _require_senders(settings: StoreScpSettings) -> None:
    """Exit 2 unless senders are listed, or any sender is allowed explicitly."""
    if settings.restricts_senders or settings.allow_any_calling_ae:
        return
    print(
        "OSTEOSCREEN_ALLOWED_CALLING_AETS: no sender is listed; list AE titles, or addresses in"
        " OSTEOSCREEN_ALLOWED_PEERS, or set OSTEOSCREEN_ALLOW_ANY_CALLING_AE=true",
        file=sys.stderr,
    )
    raise SystemExit(2)


def _start_services(
    settings: StoreScpSettings, services: ExitStack, *, on_failure: Callable[[], None]
) -> ReceiverPool:
    """Start the services in order and push their ``stop`` onto ``services``."""
    engine = make_engine(settings.database_url, application_name="storescp")
    services.callback(engine.dispose)
    writer = SpoolWriter(settings.spool_dir)
    pending = PendingSeries()
    associations = Associations(
        pending,
        limit=settings.max_associations,
        limit_per_peer=settings.max_associations_per_peer,
    )
    service = StorageService(writer, settings, associations)
    proxy = AssociationsProxy()
    with exit_on_oserror("TLS_CERT, TLS_KEY or TLS_CA", settings.tls_cert):
        report_handler = CommitmentReportHandler(make_sessions(engine))
        server = StorageServer(settings, writer, proxy, report_handler=report_handler)
        stow = make_stow_server(settings, service)
    with exit_on_oserror("SPOOL_DIR", settings.spool_dir):
        writer.prepare()
        leftovers = clean_incoming(settings.spool_dir)
    receivers = ReceiverPool(
        server, proxy, associations, waiting=_waiting(settings), on_failure=on_failure
    )
    with exit_on_oserror("HOST and OSTEOSCREEN_PORT", f"{settings.host}:{settings.port}"):
        receivers.start(settings.receivers)  # forks: no thread may run yet
    _check_schema(engine)

    publisher = TaskPublisher.from_url(settings.broker_url)
    services.callback(publisher.close)
    registrar = Registrar(pending, associations, engine, publisher, settings)
    registrar.recover()
    poller = make_source_poller(settings, service, pending)
    _serve_health(settings, engine, writer, registrar, receivers, stow)
    _accept(settings, receivers, stow)
    registrar.start()
    services.callback(registrar.stop)
    _note_activity(settings, engine, services)
    if poller is not None:
        poller.start()
    stops = [one.stop for one in (poller, stow, receivers) if one is not None]
    services.callback(_call_in_parallel, stops)
    _log_ready(settings, leftovers)
    return receivers


def _waiting(settings: StoreScpSettings) -> WaitingConnections:
    return WaitingConnections(
        limit_per_address=settings.max_associations_per_peer + SPARE_CONNECTIONS,
        may_send=partial(peer_is_allowed, settings=settings),
    )


def _accept(
    settings: StoreScpSettings, receivers: ReceiverPool, stow: StowServer | None
) -> None:
    """Accept associations, and STOW-RS requests if the settings want them."""
    with exit_on_oserror("HOST and OSTEOSCREEN_PORT", f"{settings.host}:{settings.port}"):
        receivers.serve()
    if stow is not None:
        with exit_on_oserror("STOW_HOST and OSTEOSCREEN_STOW_PORT", stow.address):
            stow.start()


def _note_activity(settings: StoreScpSettings, engine: Engine, services: ExitStack) -> None:
    """Record the start of the service, and at its end the stop."""
    sessions = make_sessions(engine, audit=settings.audit_syslog is not None)
    note_activity(sessions, "start", "storescp")
    services.callback(note_activity, sessions, "stop", "storescp")


def _serve_health(
    settings: StoreScpSettings,
    engine: Engine,
    writer: SpoolWriter,
    registrar: Registrar,
    receivers: ReceiverPool,
    stow: StowServer | None,
) -> None:
    probes = [
        registrar.loop_probe.probe(),
        health.Probe("acceptor", receivers.problem, live=True),
        *([health.Probe("stow", stow.problem, live=True)] if stow else []),
        health.spool_probe(writer, min_free_mb=settings.min_free_mb),
        # Intake continues without the database.
        database_probe(engine, vital=False),
    ]
    # Not before the receivers have been forked: their values would be added.
    SPOOL_FREE_BYTES.set_function(lambda: free_bytes_or_nan(settings.spool_dir))
    with exit_on_oserror("HEALTH_PORT", settings.health_port):
        health.serve(settings.health_port, probes, None)
    with exit_on_oserror("METRICS_PORT", settings.metrics_port):
        health.serve(settings.metrics_port, probes, sum_registries(receivers.metrics))


def _call_in_parallel(functions: Iterable[Callable[[], None]]) -> None:
    """Call in one thread each: every ``stop`` waits for open associations or requests."""
    threads = [threading.Thread(target=one) for one in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _log_ready(settings: StoreScpSettings, leftovers: int) -> None:
    """Log the open ports, and warn of insecure settings."""
    log.info(
        "storescp_ready",
        ae_title=settings.ae_title,
        host=settings.host,
        port=settings.port,
        stow_port=settings.stow_port,
        tls=settings.tls_cert is not None,
        leftovers_removed=leftovers,
    )
    if not settings.restricts_senders:
        log.warning(
            "everybody_may_send",
            remedy="set OSTEOSCREEN_ALLOWED_CALLING_AETS or OSTEOSCREEN_ALLOWED_PEERS",
        )
    if settings.stow_port and settings.stow_token and settings.tls_cert is None:
        log.warning(
            "token_in_the_clear",
            remedy="set OSTEOSCREEN_TLS_CERT, or put STOW-RS behind a proxy that speaks TLS",
        )


def _check_schema(engine: Engine) -> None:
    """Exit on another schema; start without the database while it is unavailable."""
    try:
        require_current_schema(engine)
    except SchemaNotCurrent as error:
        sys.exit(f"storescp cannot start: {error}")
    except DatabaseUnavailable:
        log.warning("database_unavailable", note="accepting; series wait in the spool")


if __name__ == "__main__":
    main()
