"""``python -m worker review``: serve until SIGTERM."""

import logging
import socket
import sys

import uvicorn

from db.migrate import SchemaNotCurrent, require_current_schema
from db.settings import blame, load_settings
from db.telemetry import configure_logging, get_logger
from db.tls import server_context
from worker.review.app import make_app
from worker.review.settings import ReviewSettings

log = get_logger("review")
STOP_SECONDS = 5


def serve() -> None:
    """Serve the pages; a wrong setting or a wrong schema is one line."""
    settings = load_settings(ReviewSettings)
    configure_logging(settings.log_format)
    app = make_app(settings)
    try:
        require_current_schema(app.state.desk.engine)
    except SchemaNotCurrent as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    if not settings.review_tokens and not settings.review_trusted_proxies:
        log.warning(
            "nobody_can_log_in",
            remedy="set OSTEOSCREEN_REVIEW_TOKENS or OSTEOSCREEN_REVIEW_TRUSTED_PROXIES",
        )
    server = uvicorn.Server(_config(app, settings))
    host, port = settings.review_host, settings.review_port
    with blame("REVIEW_HOST and OSTEOSCREEN_REVIEW_PORT", f"{host}:{port}"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    scheme = "http" if settings.tls_cert is None else "https"
    log.info("review_ready", address=f"{scheme}://{host}:{port}/")
    server.run(sockets=[listener])


def _config(app: object, settings: ReviewSettings) -> uvicorn.Config:
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,  # who looked at what is on record in the database
        proxy_headers=False,  # the doorkeeper reads them, from trusted proxies only
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    # It would log what a page raised, with the values in it; the application has told it.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    config.load()
    if settings.tls_cert is not None:
        with blame("TLS_CERT, TLS_KEY or TLS_CA", settings.tls_cert):
            config.ssl = server_context(settings.tls, client_certificate=False)
    return config
