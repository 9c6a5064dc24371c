"""STOW-RS (PS3.18 10.5): each part of a request is stored like the data set of a C-STORE.

The body is parsed while it arrives and is never in memory as a whole. A file is durable before
the response names it. Checks and disk access run in threads, so that requests do not block each
other.
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

from common.dicom.uids import is_valid_uid
from common.dicomnet.multipart import BadMultipart, Headers, MultipartReader, boundary_of
from common.logging import get_logger
from common.metrics import STOW_REQUESTS
from common.settings.storescp import MEGABYTE
from common.spool.disk_space import is_too_full
from storescp.association.admission import peer_is_allowed
from storescp.association.transfer_rate import TransferRateMonitor, TransferTimeout
from storescp.store.part10_writer import Part10Writer
from storescp.store.store_operation import StorageService, assoc_id
from storescp.stow.response import JSON, http_status, response_data_set

SOURCE = "STOW-RS"
FILE = "application/dicom"
ACCEPTABLE = ("*/*", "application/*", JSON, "application/json")
WRITE_BYTES = 512 * 1024
RETRY_AFTER_SECONDS = 60
REFUSAL_SECONDS = 5.0
"""Time for which the body of a refused request is read and discarded: many clients read the
response only after they have sent everything."""
MAX_PARTS = 10_000
"""Far above the instances of a study; an empty part has 10 bytes and costs a data set."""
MAX_UNREADABLE_PARTS = 100

log = get_logger(__name__)


class HttpError(Exception):
    """Refuses the whole request with this status, whatever its parts."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


def make_app(service: StorageService) -> Starlette:
    """Return the ASGI application."""
    endpoint = StowEndpoint(service)
    app = Starlette(
        routes=[
            Route("/studies", endpoint.store, methods=["POST"]),
            Route("/studies/{study}", endpoint.store, methods=["POST"]),
        ]
    )
    # A redirect would repeat the Host header of the client.
    app.router.redirect_slashes = False
    return app


class StowEndpoint:
    """Handles requests; they share only what associations share."""

    def __init__(self, service: StorageService) -> None:
        self._service = service
        self._settings = service.settings

    async def store(self, request: Request) -> Response:
        """Handle a request; no exception reaches uvicorn."""
        peer = request.client.host if request.client else ""
        study = request.path_params.get("study")
        files = Part10Writer(self._service, request, SOURCE, study, address=peer)
        try:
            boundary = self._check(request, peer)
            status, text = await self._store_parts(request, peer, files, boundary)
        except HttpError as error:
            status, text = error.status, error.text
            await _discard_body(request)
        except ClientDisconnect:
            status, text = HTTPStatus.BAD_REQUEST, "the client has disconnected"  # for the log
        except Exception as error:
            # Without its text, which may repeat received bytes.
            log.error("stow_failed", assoc_id=assoc_id(request), error=type(error).__name__)
            status, text = HTTPStatus.INTERNAL_SERVER_ERROR, "internal error"
        return _answer(status, text, peer, files)

    def _check(self, request: Request, peer: str) -> bytes:
        """Check all that precedes the body; return the boundary of its parts."""
        if not peer_is_allowed(peer, self._settings):
            raise HttpError(
                HTTPStatus.FORBIDDEN, "the address is not in the list of allowed peers"
            )
        if not self._has_token(request):
            raise HttpError(HTTPStatus.UNAUTHORIZED, "a valid bearer token is required")
        if (study := request.path_params.get("study")) and not is_valid_uid(study):
            raise HttpError(HTTPStatus.BAD_REQUEST, "the study in the path is not a valid UID")
        if not _accepts_json(request.headers.get("accept", "*/*")):
            raise HttpError(
                HTTPStatus.NOT_ACCEPTABLE, f"the response is {JSON}; Accept excludes it"
            )
        media_type, part_type, boundary = boundary_of(request.headers.get("content-type", ""))
        if media_type != "multipart/related" or part_type != FILE:
            raise HttpError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f'Content-Type must be multipart/related; type="{FILE}"',
            )
        if {"content-length", "transfer-encoding"} <= set(request.headers):
            raise HttpError(  # RFC 9112 6.1: its end is ambiguous
                HTTPStatus.BAD_REQUEST,
                "Content-Length and Transfer-Encoding exclude each other",
            )
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._max_bytes:
            raise self._too_large()
        if self._disk_full():
            raise HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "too little disk space is left")
        return boundary

    def _has_token(self, request: Request) -> bool:
        if self._settings.stow_token is None:
            return True
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        wanted = self._settings.stow_token.get_secret_value().encode()
        same = hmac.compare_digest(token.strip().encode("latin-1", "replace"), wanted)
        return scheme.lower() == "bearer" and same

    async def _store_parts(
        self, request: Request, peer: str, files: Part10Writer, boundary: bytes
    ) -> tuple[HTTPStatus, str]:
        """Store the body within the limits of associations, which also count requests."""
        associations, complete = self._service.associations, False
        if associations.open(request, peer) is not None:
            raise HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "too many senders at once")
        try:
            status, text = await self._receive(request, files, boundary)
            complete = not text
        finally:
            associations.close(request, released=complete)
        return status, text

    async def _receive(
        self, request: Request, files: Part10Writer, boundary: bytes
    ) -> tuple[HTTPStatus, str]:
        """Store each part; return the status, and a reason where the body was not complete."""
        try:
            parts = MultipartReader(boundary, lambda headers: _check_part(headers, files))
            try:
                async for data in self._body(request):
                    await run_in_threadpool(parts.write, data)
                parts.finish()
            finally:
                await run_in_threadpool(parts.discard)
        except BadMultipart as error:
            return HTTPStatus.BAD_REQUEST, str(error)
        except TransferTimeout as error:
            return HTTPStatus.REQUEST_TIMEOUT, str(error)
        return http_status(files.outcomes, disk_full=self._disk_full()), ""

    async def _body(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the body in large pieces; raises TransferTimeout, and HttpError (too large)."""
        rate = TransferRateMonitor(
            self._settings.stall_seconds, self._settings.min_kb_per_second
        )
        gathered, size = bytearray(), 0
        chunks = request.stream()
        while True:
            try:
                chunk = await asyncio.wait_for(anext(chunks), self._settings.stall_seconds)
            except StopAsyncIteration:
                break
            except TimeoutError:
                raise TransferTimeout(
                    f"silent for {self._settings.stall_seconds:g} s"
                ) from None
            now = time.monotonic()
            rate.add(len(chunk), now=now)
            rate.check(now=now)
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

    def _too_large(self) -> HttpError:
        return HttpError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the limit of a request is {self._settings.stow_max_request_mb} MB",
        )

    def _disk_full(self) -> bool:
        return is_too_full(self._service.writer.spool_dir, self._settings.min_free_mb)


def _check_part(headers: Headers, files: Part10Writer) -> Part10Writer:
    if len(files.outcomes) >= MAX_PARTS:
        raise HttpError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the limit of a request is {MAX_PARTS} parts"
        )
    if files.unreadable >= MAX_UNREADABLE_PARTS:
        raise HttpError(
            HTTPStatus.BAD_REQUEST, f"{MAX_UNREADABLE_PARTS} parts are not DICOM files"
        )
    content_type, _, _ = boundary_of(headers.get("content-type", FILE))
    if content_type != FILE:
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"a part is not {FILE}")
    return files


def _accepts_json(accept: str) -> bool:
    return any(part.split(";")[0].strip().lower() in ACCEPTABLE for part in accept.split(","))


async def _discard_body(request: Request) -> None:
    """Read the rest of the body for ``REFUSAL_SECONDS``; not with Expect (RFC 9110 10.1.1)."""
    if "expect" in request.headers:
        return
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(REFUSAL_SECONDS):
            async for _ in request.stream():
                pass


def _answer(status: HTTPStatus, text: str, peer: str, files: Part10Writer) -> Response:
    STOW_REQUESTS.labels(str(int(status))).inc()
    failed = sum(one.refusal is not None for one in files.outcomes)
    write_log = log.info if status is HTTPStatus.OK else log.warning
    write_log(
        "stow_request",
        assoc_id=assoc_id(files.sender),
        peer=peer,
        status=int(status),
        reason=text,
        stored=len(files.outcomes) - failed,
        failed=failed,
    )
    headers = {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="osteoscreen"'
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if text:
        headers["Connection"] = "close"  # the rest of the body is not read
    if files.outcomes:
        body, media_type = response_data_set(files.outcomes), JSON
    else:
        body, media_type = text, "text/plain"
    return Response(body, int(status), headers, media_type)
