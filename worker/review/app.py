"""The FastAPI application: middleware, routes and error pages."""

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles

from common.logging import get_logger
from common.settings.review import ReviewSettings
from db.access_log import record_access
from db.session import (
    DatabaseUnavailable,
    InvalidValue,
    Sessions,
    make_engine,
    make_sessions,
)
from worker.errors import stack_of
from worker.review.authentication import Authenticator
from worker.review.clock import now
from worker.review.middleware import AuthenticationMiddleware, SecurityHeadersMiddleware
from worker.review.pages import (
    actions,
    destinations,
    drift,
    dxa,
    export,
    login,
    series,
    worklist,
)
from worker.review.rendering import STATIC_DIR, make_templates, render
from worker.review.sessions import EndedSession
from worker.review.state import AppState
from worker.review.token_holders import tokens_path

ROUTERS = (
    login.router,
    worklist.router,
    series.router,
    actions.router,
    destinations.router,
    dxa.router,
    drift.router,
    export.router,
)
ERROR_TEXTS = {
    HTTPStatus.NOT_FOUND: "There is no such page.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This page does not support this request.",
    HTTPStatus.UNAUTHORIZED: "Log in first.",
}
log = get_logger(__name__)


def make_app(settings: ReviewSettings) -> FastAPI:
    """Return the application; it connects to the database at the first request."""
    engine = make_engine(settings.database_url, application_name="osteoscreen review")
    authenticator = Authenticator(settings, tokens_file=tokens_path())
    # No OpenAPI schema or documentation, which would list the routes to anonymous clients.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    sessions = make_sessions(engine, audit=settings.audit_syslog is not None)
    app.state.app_state = AppState(settings, engine, sessions, authenticator, make_templates())
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC_DIR), name="static")
    app.add_middleware(
        AuthenticationMiddleware,
        authenticator=authenticator,
        record_ended=partial(_record_ended, sessions),
    )
    app.add_middleware(SecurityHeadersMiddleware)  # added last, so it is the outermost
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(InvalidValue, _invalid_value)
    app.add_exception_handler(ClientDisconnect, _client_gone)
    app.add_exception_handler(DatabaseUnavailable, _database_unavailable)
    app.add_exception_handler(Exception, _internal_error)
    return app


def _record_ended(sessions: Sessions, ended: Sequence[EndedSession]) -> None:
    """Write the log-offs that no user asked for into the access log."""
    try:
        with sessions.begin() as session:
            for one in ended:
                record_access(session, one.actor, one.what, now=now())
    except DatabaseUnavailable:
        log.warning("log_off_not_recorded", sessions=len(ended))


def _http_error(request: Request, error: Exception) -> Response:
    status, text, headers = HTTPStatus.INTERNAL_SERVER_ERROR, "", None
    if isinstance(error, HTTPException):
        status, headers = HTTPStatus(error.status_code), error.headers
        text = error.detail if error.detail != status.phrase else ""
    response = _error_page(request, status, text or ERROR_TEXTS.get(status, ""))
    response.headers.update(headers or {})
    return response


def _invalid_request(request: Request, _: Exception) -> Response:
    # FastAPI's own response would repeat the input.
    return _error_page(
        request, HTTPStatus.UNPROCESSABLE_ENTITY, "The address contains an invalid value."
    )


def _invalid_value(request: Request, _: Exception) -> Response:
    """Answer a value that PostgreSQL cannot hold, such as a number out of range."""
    return _error_page(request, HTTPStatus.BAD_REQUEST, "A value is out of range.")


def _client_gone(_: Request, __: Exception) -> Response:
    return Response(status_code=HTTPStatus.BAD_REQUEST)  # not received by anyone


def _database_unavailable(request: Request, _: Exception) -> Response:
    log.error("database_away", path=request.url.path)
    return _error_page(
        request,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database does not answer. No data is lost: series are still received. Try again in"
        " a minute. An operator can find the cause with `python -m worker doctor`.",
    )


def _internal_error(request: Request, error: Exception) -> Response:
    log.error("page_failed", path=request.url.path, stack=stack_of(error))
    return _error_page(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "This page could not be rendered. The log of the review page has the cause.",
    )


def _error_page(request: Request, status: HTTPStatus, text: str) -> Response:
    if request.url.path == "/health":
        return Response(f"{status.value}\n", status, media_type="text/plain")
    return render(request, "error.html", status=status, title=status.phrase, text=text)
