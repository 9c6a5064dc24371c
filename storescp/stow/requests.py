"""STOW-RS (PS3.18 10.5): each part of a request goes the way of a C-STORE into the spool.

The body is parsed as it comes and never in memory as a whole; a file is durable before the
answer names it. Disk and checks work in threads, so that one request does not hold up another.
"""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from db.spool import free_bytes, is_valid_uid
from db.telemetry import STOW_REQUESTS, get_logger
from storescp.association.admission import peer_is_allowed
from storescp.association.pace import Pace, TooSlow
from storescp.file_intake import FileIntake
from storescp.operation import Intake, assoc_id
from storescp.settings import MEGABYTE
from storescp.stow.multipart import BadMultipart, Headers, Parts, boundary_of
from storescp.stow.response import JSON, http_status, response_data_set

SOURCE = "STOW-RS"
FILE = "application/dicom"
ACCEPTABLE = ("*/*", "application/*", JSON, "application/json")
WRITE_BYTES = 512 * 1024
RETRY_AFTER_SECONDS = 60
REFUSAL_SECONDS = 5.0
"""For so long the body of a request that is refused is thrown away: many clients look at an
answer only when they have sent everything."""

log = get_logger(__name__)


class Refused(Exception):
    """The request as a whole is answered by this status, whatever was in it."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


def make_app(intake: Intake) -> Starlette:
    """The ASGI application."""
    stow = Stow(intake)
    app = Starlette(
        routes=[
            Route("/studies", stow.store, methods=["POST"]),
            Route("/studies/{study}", stow.store, methods=["POST"]),
        ]
    )
    # A redirect would name the host that the client has named.
    app.router.redirect_slashes = False
    return app


class Stow:
    """The endpoint; requests share nothing but what associations share, too."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._settings = intake.settings

    async def store(self, request: Request) -> Response:
        """Handle a request; the process boundary of its task."""
        peer = request.client.host if request.client else ""
        files = FileIntake(self._intake, request, SOURCE, request.path_params.get("study"))
        try:
            boundary = self._check(request, peer)
            status, text = await self._admit(request, peer, files, boundary)
        except Refused as refused:
            status, text = refused.status, refused.text
            await _throw_away(request)
        except ClientDisconnect:
            status, text = HTTPStatus.BAD_REQUEST, "the client has gone"  # nobody hears it
        except Exception as error:
            # Not its text: whatever it is, it may repeat what was sent.
            log.error("stow_failed", assoc_id=assoc_id(request), error=type(error).__name__)
            status, text = HTTPStatus.INTERNAL_SERVER_ERROR, "internal error"
        return _answer(status, text, peer, files)

    def _check(self, request: Request, peer: str) -> bytes:
        """All that can be said before the body; the boundary of its parts."""
        if not peer_is_allowed(peer, self._settings):
            raise Refused(HTTPStatus.FORBIDDEN, "this address may not store")
        if not self._has_token(request):
            raise Refused(HTTPStatus.UNAUTHORIZED, "a bearer token is needed")
        if (study := request.path_params.get("study")) and not is_valid_uid(study):
            raise Refused(HTTPStatus.BAD_REQUEST, "the study in the path is not a UID")
        if not _accepts_json(request.headers.get("accept", "*/*")):
            raise Refused(HTTPStatus.NOT_ACCEPTABLE, f"only {JSON} is answered")
        media_type, part_type, boundary = boundary_of(request.headers.get("content-type", ""))
        if media_type != "multipart/related" or part_type != FILE:
            raise Refused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f'multipart/related; type="{FILE}" is wanted',
            )
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._max_bytes:
            raise self._too_large()
        if self._disk_full():
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too little disk space is left")
        return boundary

    def _has_token(self, request: Request) -> bool:
        if self._settings.stow_token is None:
            return True
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        wanted = self._settings.stow_token.get_secret_value().encode()
        same = hmac.compare_digest(token.strip().encode("latin-1", "replace"), wanted)
        return scheme.lower() == "bearer" and same

    async def _admit(
        self, request: Request, peer: str, files: FileIntake, boundary: bytes
    ) -> tuple[HTTPStatus, str]:
        """The limits of associations hold for requests, too, both counted together."""
        arrivals, whole = self._intake.arrivals, False
        full = arrivals.enter(
            request,
            peer,
            limit=self._settings.max_associations,
            limit_per_peer=self._settings.max_associations_per_peer,
        )
        if full is not None:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many senders at once")
        try:
            status, text = await self._receive(request, files, boundary)
            whole = not text
        finally:
            arrivals.leave(request, released=whole)
        return status, text

    async def _receive(
        self, request: Request, files: FileIntake, boundary: bytes
    ) -> tuple[HTTPStatus, str]:
        """Store what comes; the status of the request, and why where it did not end well."""
        try:
            parts = Parts(boundary, lambda headers: _check_part(headers, files))
            try:
                async for data in self._body(request):
                    await run_in_threadpool(parts.write, data)
                parts.finish()
            finally:
                await run_in_threadpool(parts.discard)
        except BadMultipart as error:
            return HTTPStatus.BAD_REQUEST, str(error)
        except TooSlow as error:
            return HTTPStatus.REQUEST_TIMEOUT, str(error)
        return http_status(files.received, disk_full=self._disk_full()), ""

    async def _body(self, request: Request) -> AsyncIterator[bytes]:
        """The body in large pieces; raises TooSlow, and Refused where it is too large."""
        pace = Pace(self._settings.stall_seconds, self._settings.min_kb_per_second)
        gathered, size = bytearray(), 0
        chunks = request.stream()
        while True:
            try:
                chunk = await asyncio.wait_for(anext(chunks), self._settings.stall_seconds)
            except StopAsyncIteration:
                break
            except TimeoutError:
                raise TooSlow(f"silent for {self._settings.stall_seconds:g} s") from None
            now = time.monotonic()
            pace.add(len(chunk), now=now)
            pace.check(now=now)
            size += len(chunk)
            if size > self._max_bytes:
                raise self._too_large()
            gathered += chunk
            if len(gathered) >= WRITE_BYTES:
                yield bytes(gathered)
                gathered.clear()
        yield bytes(gathered)

    @property
    def _max_bytes(self) -> int:
        return self._settings.stow_max_request_mb * MEGABYTE

    def _too_large(self) -> Refused:
        return Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"a request may have {self._settings.stow_max_request_mb} MB",
        )

    def _disk_full(self) -> bool:
        free = free_bytes(self._intake.writer.spool_dir)
        return free < self._settings.min_free_mb * MEGABYTE


def _check_part(headers: Headers, files: FileIntake) -> FileIntake:
    content_type, _, _ = boundary_of(headers.get("content-type", FILE))
    if content_type != FILE:
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"a part is not {FILE}")
    return files


def _accepts_json(accept: str) -> bool:
    return any(part.split(";")[0].strip().lower() in ACCEPTABLE for part in accept.split(","))


async def _throw_away(request: Request) -> None:
    """Read on for a while, unless the client waits for a word before it sends (RFC 9110)."""
    if "expect" in request.headers:
        return
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(REFUSAL_SECONDS):
            async for _ in request.stream():
                pass


def _answer(status: HTTPStatus, text: str, peer: str, files: FileIntake) -> Response:
    STOW_REQUESTS.labels(str(int(status))).inc()
    failed = sum(one.refusal is not None for one in files.received)
    say = log.info if status is HTTPStatus.OK else log.warning
    say(
        "stow_request",
        assoc_id=assoc_id(files.sender),
        peer=peer,
        status=int(status),
        reason=text,
        stored=len(files.received) - failed,
        failed=failed,
    )
    headers = {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="osteoscreen"'
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if text:
        headers["Connection"] = "close"  # what may still come is not wanted
    if files.received:
        body, media_type = response_data_set(files.received), JSON
    else:
        body, media_type = text, "text/plain"
    return Response(body, int(status), headers, media_type)
