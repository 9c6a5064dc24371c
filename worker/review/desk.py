"""What every page works with: settings, database, doorkeeper, templates; and who may act."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse

from db.telemetry import get_logger
from worker.review import words
from worker.review.doorkeeper import Doorkeeper, same_token
from worker.review.roles import Role, Visitor
from worker.review.settings import ReviewSettings

HERE = Path(__file__).parent
PAGES = (
    ("/", "Worklist"),
    ("/destinations", "Destinations"),
    ("/accuracy", "Against DXA"),
    ("/drift", "Drift"),
    ("/export", "Export"),
)
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """Made once, at the start."""

    settings: ReviewSettings
    engine: Engine
    sessions: sessionmaker[Session]
    doorkeeper: Doorkeeper
    templates: Environment


def make_templates() -> Environment:
    """Jinja2, escaping everything and failing where a page names what is not there."""
    templates = Environment(
        loader=PackageLoader("worker.review"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals.update(words=words, Role=Role, pages=PAGES)
    templates.filters.update(local=words.local, percent=words.percent, size=words.size)
    return templates


def get_desk(request: Request) -> Desk:
    """The desk of this application."""
    desk: Desk = request.app.state.desk
    return desk


def get_visitor(request: Request) -> Visitor:
    """Who logged in (the gate has seen to it that somebody did)."""
    visitor: Visitor | None = request.state.visitor
    if visitor is None:
        raise HTTPException(HTTPStatus.UNAUTHORIZED)
    return visitor


AtDesk = Annotated[Desk, Depends(get_desk)]
Visiting = Annotated[Visitor, Depends(get_visitor)]


def needs(role: Role) -> Callable[[Request], Visitor]:
    """A dependency: 403 unless the visitor's role allows it."""

    def check(request: Request) -> Visitor:
        visitor = get_visitor(request)
        if not visitor.role.allows(role):
            raise HTTPException(
                HTTPStatus.FORBIDDEN,
                f"This needs the role {role}; you are logged in as {visitor.role}.",
            )
        return visitor

    check.role = role  # type: ignore[attr-defined]  # a test reads it
    return check


async def checked_form(request: Request) -> FormData:
    """The form of a POST, after its token; 403 without the right one."""
    visitor = get_visitor(request)
    form = await request.form(max_files=1, max_fields=50)
    given = form.get("csrf")
    if not isinstance(given, str) or not same_token(given, visitor.csrf):
        raise HTTPException(
            HTTPStatus.FORBIDDEN, "This form is out of date. Go back, reload and try again."
        )
    return form


Form = Annotated[FormData, Depends(checked_form)]


def render(
    request: Request, name: str, *, status: HTTPStatus = HTTPStatus.OK, **values: Any
) -> Response:
    """A page; ``visitor`` is known to every template (None: nobody logged in)."""
    template = get_desk(request).templates.get_template(name)
    text = template.render(visitor=request.state.visitor, path=request.url.path, **values)
    return HTMLResponse(text, status)


def see(path: str) -> Response:
    """After a POST: look at that page."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def now() -> datetime:
    """The clock of the page."""
    return datetime.now(UTC)


def text_of(form: FormData, name: str, *, longest: int = 200) -> str:
    """A field of a form without white space around it; 422 where it is too long."""
    value = form.get(name, "")
    text = value.strip() if isinstance(value, str) else ""
    if len(text) > longest or "\x00" in text:
        raise HTTPException(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"{name}: at most {longest} characters."
        )
    return text
