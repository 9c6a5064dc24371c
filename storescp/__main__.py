"""``python -m storescp``: serve until SIGTERM."""

import signal
import sys
import threading

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from db import health
from db.migrate import SchemaNotCurrent, require_current_schema
from db.session import make_engine, make_sessions
from db.settings import blame, load_settings
from db.spool import SpoolWriter, clean_incoming
from db.telemetry import add_up, configure_logging, get_logger
from storescp.association.server import StorageServer
from storescp.commitment.receipts import Receipts
from storescp.operation import Intake
from storescp.processes.link import ToldArrivals
from storescp.processes.receivers import Receivers
from storescp.registration.arrivals import Arrivals
from storescp.registration.publish import Publisher
from storescp.registration.register import Registrar
from storescp.settings import StoreScpSettings
from storescp.source.asker import make_asker
from storescp.stow.server import make_stow_server

log = get_logger("storescp")


def main() -> None:
    """Start receivers and registrar; on SIGTERM or SIGINT stop accepting, finish, exit 0.

    Exit 1, for whoever starts it again, when a receiving process has ended.
    """
    settings = load_settings(StoreScpSettings)
    configure_logging(settings.log_format)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    engine = make_engine(settings.database_url, application_name="storescp")
    writer = SpoolWriter(settings.spool_dir)
    arrivals = Arrivals()
    intake = Intake(writer, settings, arrivals)
    with blame("TLS_CERT, TLS_KEY or TLS_CA", settings.tls_cert):
        told = ToldArrivals()
        server = StorageServer(settings, writer, told, receipts=Receipts(make_sessions(engine)))
        stow = make_stow_server(settings, intake)
    with blame("SPOOL_DIR", settings.spool_dir):
        writer.prepare()
        leftovers = clean_incoming(settings.spool_dir)
    receivers = Receivers(server, told, arrivals, on_failure=stop.set)
    with blame("HOST and OSTEOSCREEN_PORT", f"{settings.host}:{settings.port}"):
        receivers.start(settings.receivers)
    _check_schema(engine)
    asker = make_asker(settings, intake, arrivals)
    publisher = Publisher(settings.broker_url)
    registrar = Registrar(arrivals, engine, publisher, settings)
    probes = [
        registrar.rounds.probe(),
        health.Probe("acceptor", receivers.ask, live=True),
        *([health.Probe("stow", stow.ask, live=True)] if stow else []),
        health.spool_probe(writer, min_free_mb=settings.min_free_mb),
        # Intake goes on without it.
        health.database_probe(engine, vital=False),
    ]
    with blame("METRICS_PORT", settings.metrics_port):
        health.serve(settings.metrics_port, probes, add_up(receivers.metrics))
    with blame("HOST and OSTEOSCREEN_PORT", f"{settings.host}:{settings.port}"):
        receivers.serve()
    if stow is not None:
        with blame("STOW_HOST and OSTEOSCREEN_STOW_PORT", stow.address):
            stow.start()
    registrar.start()
    if asker is not None:
        asker.start()
    _say_ready(settings, leftovers)
    stop.wait()
    log.info("storescp_stopping")
    # Side by side: each lets what is being sent come to its end.
    stopping = [
        threading.Thread(target=one.stop) for one in (asker, stow, receivers) if one is not None
    ]
    for thread in stopping:
        thread.start()
    for thread in stopping:
        thread.join()
    registrar.stop()
    publisher.close()
    engine.dispose()
    log.info("storescp_stopped")
    if receivers.failed:
        sys.exit("a receiving process ended: storescp is to be started again")


def _say_ready(settings: StoreScpSettings, leftovers: int) -> None:
    """Say what is open, and warn of what should not be."""
    log.info(
        "storescp_ready",
        ae_title=settings.ae_title,
        host=settings.host,
        port=settings.port,
        stow_port=settings.stow_port,
        tls=settings.tls_cert is not None,
        leftovers_removed=leftovers,
    )
    if not settings.allowed_calling_aets and not settings.allowed_peers:
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
    """Refuse to start on another schema; a database that is down does not keep us closed."""
    try:
        require_current_schema(engine)
    except SchemaNotCurrent as error:
        sys.exit(f"storescp cannot start: {error}")
    except OperationalError:
        log.warning("database_unavailable", note="accepting; series wait in the spool")


if __name__ == "__main__":
    main()
