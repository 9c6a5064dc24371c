"""ASGI middleware: security headers and authentication.

Both act before the body is read, so that an upload of an anonymous client is not received.
"""

import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from urllib.parse import quote, unquote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.review.authentication import Authenticator
from worker.review.sessions import EndedSession

ANONYMOUS_PATHS = re.compile(r"/(login|health|static/[\w.-]+)")
MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_LOGIN_BYTES = 4 * 1024

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self';"
    " img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
CACHE_PAGES = "no-store"
CACHE_STATIC = "no-cache"


class SecurityHeadersMiddleware:
    """Adds ``SECURITY_HEADERS`` and Cache-Control to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and add the headers to its response."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_static = scope["path"].startswith("/static/")
        added = SECURITY_HEADERS | {"Cache-Control": CACHE_STATIC if is_static else CACHE_PAGES}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(added)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class AuthenticationMiddleware:
    """Sets ``request.state.user`` and stops requests that are not allowed."""

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        record_ended: Callable[[Sequence[EndedSession]], None],
    ) -> None:
        self.app = app
        self.authenticator = authenticator
        self.record_ended = record_ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with an error or the login page."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # no WebSocket
        request = Request(scope)
        scope.setdefault("state", {})["user"] = self.authenticator.identify(request)
        if ended := self.authenticator.take_ended():
            await run_in_threadpool(self.record_ended, ended)
        denial = denial_response(request)
        await (denial or self.app)(scope, receive, send)


def denial_response(request: Request) -> Response | None:
    """Return the answer to a request that is not allowed, or None if it is.

    Denied are NUL characters, bodies in chunks, anonymous requests (except for the login page,
    its style sheet and the health check), requests from another site, and bodies that are too
    large.
    """
    if "\0" in request.url.path or "\0" in unquote(request.url.query):
        return _plain(HTTPStatus.BAD_REQUEST)  # no text of the database may contain it
    if "transfer-encoding" in request.headers:
        # No form is sent in chunks. With Content-Length, its end is ambiguous (RFC 9112 6.1).
        return _plain(HTTPStatus.BAD_REQUEST)
    is_anonymous = request.state.user is None
    is_read = request.method in {"GET", "HEAD"}
    if is_anonymous and not ANONYMOUS_PATHS.fullmatch(request.url.path):
        if not is_read:
            return _plain(HTTPStatus.UNAUTHORIZED)
        return RedirectResponse(f"/login?next={quote(request.url.path)}", HTTPStatus.SEE_OTHER)
    if is_read:
        return None
    # In addition to the CSRF token of the form.
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return _plain(HTTPStatus.FORBIDDEN)
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        return _plain(HTTPStatus.LENGTH_REQUIRED)
    if int(length) > (MAX_LOGIN_BYTES if is_anonymous else MAX_BODY_BYTES):
        return _plain(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return None


def _plain(status: HTTPStatus) -> Response:
    return PlainTextResponse(f"{status.value} {status.phrase}\n", status)
