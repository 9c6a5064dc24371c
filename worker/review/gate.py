"""The gate before every page: strangers get the login and nothing else; headers of safety.

Runs before a body is read, so that a stranger's upload is never received.
"""

import re
from http import HTTPStatus
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.review.doorkeeper import Doorkeeper

OPEN_PATHS = re.compile(r"/(login|health|static/[\w.-]+)")
MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_LOGIN_BYTES = 4 * 1024

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self';"
    " img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
NO_STORE = "no-store"
STATIC_CACHE = "no-cache"


class Gate:
    """ASGI middleware; leaves the visitor in ``request.state.visitor``."""

    def __init__(self, app: ASGIApp, doorkeeper: Doorkeeper) -> None:
        self.app = app
        self.doorkeeper = doorkeeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through, or answer."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # no WebSocket
        request = Request(scope)
        scope.setdefault("state", {})["visitor"] = self.doorkeeper.identify(request)

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                is_static = request.url.path.startswith("/static/")
                headers["Cache-Control"] = STATIC_CACHE if is_static else NO_STORE
            await send(message)

        refusal = refuse(request)
        await (refusal or self.app)(scope, receive, send_safely)


def refuse(request: Request) -> Response | None:
    """The answer to somebody who may not come in, or to a request of another site."""
    stranger = request.state.visitor is None
    reads = request.method in {"GET", "HEAD"}
    if stranger and not OPEN_PATHS.fullmatch(request.url.path):
        if not reads:
            return _plain(HTTPStatus.UNAUTHORIZED)
        return RedirectResponse(f"/login?next={quote(request.url.path)}", HTTPStatus.SEE_OTHER)
    if reads:
        return None
    # Browsers say where a request comes from; the token in the form is asked for as well.
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return _plain(HTTPStatus.FORBIDDEN)
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        return _plain(HTTPStatus.LENGTH_REQUIRED)
    if int(length) > (MAX_LOGIN_BYTES if stranger else MAX_BODY_BYTES):
        return _plain(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return None


def _plain(status: HTTPStatus) -> Response:
    return PlainTextResponse(f"{status.value} {status.phrase}\n", status)
