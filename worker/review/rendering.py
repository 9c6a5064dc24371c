"""HTML responses: Jinja2 templates and redirects."""

from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, RedirectResponse

from common.settings.review import Role
from worker.review import formatting, labels
from worker.review.state import get_app_state

STATIC_DIR = Path(__file__).parent / "static"
NAVIGATION = (
    ("/", "Worklist"),
    ("/destinations", "Destinations"),
    ("/accuracy", "DXA comparison"),
    ("/drift", "Drift"),
    ("/export", "Export"),
)


def make_templates() -> Environment:
    """Return the Jinja2 environment: everything is escaped, undefined names raise."""
    templates = Environment(
        loader=PackageLoader("worker.review"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals.update(labels=labels, Role=Role, navigation=NAVIGATION)
    templates.filters.update(
        local_time=formatting.local_time, percent=formatting.percent, size=formatting.size
    )
    return templates


def render(
    request: Request, name: str, *, status: HTTPStatus = HTTPStatus.OK, **values: Any
) -> Response:
    """Render a template. It also gets ``user`` (None: not logged in) and ``path``."""
    template = get_app_state(request).templates.get_template(name)
    text = template.render(user=request.state.user, path=request.url.path, **values)
    return HTMLResponse(text, status)


def redirect(path: str) -> Response:
    """Return the redirect after a POST (303 See Other)."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)
