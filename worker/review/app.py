"""The application: gate, pages, and a page for everything that can go wrong."""

from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from db.session import make_engine, make_sessions
from db.telemetry import get_logger
from worker.errors import stack_of
from worker.review import (
    pages_actions,
    pages_destinations,
    pages_drift,
    pages_dxa,
    pages_export,
    pages_login,
    pages_series,
    pages_worklist,
)
from worker.review.desk import HERE, Desk, make_templates, render
from worker.review.doorkeeper import Doorkeeper
from worker.review.gate import Gate
from worker.review.settings import ReviewSettings

ROUTERS = (
    pages_login.router,
    pages_worklist.router,
    pages_series.router,
    pages_actions.router,
    pages_destinations.router,
    pages_dxa.router,
    pages_drift.router,
    pages_export.router,
)
log = get_logger(__name__)


def make_app(settings: ReviewSettings) -> FastAPI:
    """All pages; no database is asked before the first request."""
    engine = make_engine(settings.database_url, application_name="osteoscreen review")
    doorkeeper = Doorkeeper(settings)
    # No schema and no documentation: they would tell strangers what there is.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.desk = Desk(settings, engine, make_sessions(engine), doorkeeper, make_templates())
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    app.add_middleware(Gate, doorkeeper=doorkeeper)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(OperationalError, _database_away)
    app.add_exception_handler(Exception, _broken)
    return app


def _refused(request: Request, error: Exception) -> Response:
    status, text = HTTPStatus.INTERNAL_SERVER_ERROR, ""
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        text = error.detail if error.detail != status.phrase else ""
    return _page(request, status, text or MEANINGS.get(status, ""))


def _invalid(request: Request, _: Exception) -> Response:
    # Not FastAPI's own answer: it repeats what was sent.
    return _page(
        request, HTTPStatus.UNPROCESSABLE_ENTITY, "The address has a value it cannot have."
    )


def _database_away(request: Request, _: Exception) -> Response:
    log.error("database_away", path=request.url.path)
    return _page(
        request,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database does not answer. Nothing is lost: series are still received. Try again in"
        " a minute; an operator finds out more with `python -m worker doctor`.",
    )


def _broken(request: Request, error: Exception) -> Response:
    log.error("page_failed", path=request.url.path, stack=stack_of(error))
    return _page(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "This page could not be made. The log of the review page says why.",
    )


MEANINGS = {
    HTTPStatus.NOT_FOUND: "There is no such page.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This page cannot be used in this way.",
    HTTPStatus.UNAUTHORIZED: "Log in first.",
}


def _page(request: Request, status: HTTPStatus, text: str) -> Response:
    if request.url.path == "/health":
        return Response(f"{status.value}\n", status, media_type="text/plain")
    return render(request, "error.html", status=status, title=status.phrase, text=text)
