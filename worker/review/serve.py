"""``python -m worker review``: serve the review page until SIGTERM."""

import logging
import socket
import sys

import uvicorn

from common.connection_limits import BACKLOG
from common.http_server import LimitedListener, TimeoutH11Protocol
from common.logging import configure_logging, get_logger
from common.settings.load import exit_on_oserror, load_settings
from common.settings.review import ReviewSettings
from common.tls import server_context
from db.audit import note_activity
from db.migrate import SchemaNotCurrent, require_current_schema
from worker.review.app import make_app

log = get_logger("review")
STOP_SECONDS = 5
KEEP_ALIVE_SECONDS = 5
MAX_CONNECTIONS = 512


class ReviewProtocol(TimeoutH11Protocol):
    """HTTP/1.1 for browsers: a form of 4 MB arrives within a minute."""

    body_seconds = 60.0


def serve() -> None:
    """Serve the pages; exit with one line on an invalid setting or an outdated schema."""
    settings = load_settings(ReviewSettings)
    configure_logging(settings.log_format)
    app = make_app(settings)
    try:
        require_current_schema(app.state.app_state.engine)
    except SchemaNotCurrent as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    by_header = settings.review_trusted_proxies and settings.review_user_header
    if not settings.review_tokens and not by_header:
        log.warning(
            "nobody_can_log_in",
            remedy="set OSTEOSCREEN_REVIEW_TOKENS, or OSTEOSCREEN_REVIEW_TRUSTED_PROXIES and"
            " OSTEOSCREEN_REVIEW_USER_HEADER",
        )
    server = uvicorn.Server(_config(app, settings))
    host, port = settings.review_host, settings.review_port
    with exit_on_oserror("REVIEW_HOST and OSTEOSCREEN_REVIEW_PORT", f"{host}:{port}"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = LimitedListener(
            socket.create_server((host, port), family=family, backlog=BACKLOG),
            limit=MAX_CONNECTIONS,
            limit_per_peer=MAX_CONNECTIONS // 2,
        )
    scheme = "http" if settings.tls_cert is None else "https"
    log.info("review_ready", address=f"{scheme}://{host}:{port}/")
    sessions = app.state.app_state.sessions
    note_activity(sessions, "start", "review")
    server.run(sockets=[listener])
    note_activity(sessions, "stop", "review")


def _config(app: object, settings: ReviewSettings) -> uvicorn.Config:
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=ReviewProtocol,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        log_config=None,
        access_log=False,  # the access log is in the database
        proxy_headers=False,  # the authenticator reads them, of trusted proxies only
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    # Uvicorn would log exceptions of pages with the values in them; the application logs them
    # without.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    config.load()
    if settings.tls_cert is not None:
        with exit_on_oserror("TLS_CERT, TLS_KEY or TLS_CA", settings.tls_cert):
            config.ssl = server_context(settings.tls, client_certificate=False)
    return config
