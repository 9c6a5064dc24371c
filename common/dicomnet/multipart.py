"""Streaming parser of multipart/related bodies (RFC 2387, PS3.18 8.6)."""

from collections.abc import Callable, Mapping
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

Headers = Mapping[str, str]


class BadMultipart(ValueError):
    """The body does not match its Content-Type, or is truncated."""


class Sink(Protocol):
    """Takes the content of one part."""

    def write(self, part: memoryview) -> None:
        """Append to the content."""

    def finish(self) -> None:
        """Complete the part."""

    def discard(self) -> None:
        """Abandon the part: the rest will not arrive."""


def boundary_of(content_type: str) -> tuple[str, str, bytes]:
    """Return media type, ``type`` and boundary of a Content-Type; empty where missing."""
    media_type, options = parse_options_header(content_type)
    part_type = options.get(b"type", b"").decode("latin-1").strip().lower()
    return media_type.decode("latin-1").lower(), part_type, options.get(b"boundary", b"")


class MultipartReader:
    """Parse a body and write each part to its own sink.

    ``begin`` is called with the headers of a part (names in lower case) and returns its sink.
    python-multipart bounds number and length of headers. Call ``finish`` or ``discard`` last.
    """

    def __init__(self, boundary: bytes, begin: Callable[[Headers], Sink]) -> None:
        self._begin = begin
        self._sink: Sink | None = None
        self._headers: dict[str, str] = {}
        self._name, self._value = bytearray(), bytearray()
        self._ended = False
        if not boundary:
            raise BadMultipart("no boundary")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_header_field": lambda data, i, j: self._name.extend(data[i:j]),
                    "on_header_value": lambda data, i, j: self._value.extend(data[i:j]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_part,
                    "on_part_data": self._add,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise BadMultipart(str(error)) from None

    def write(self, data: bytes) -> None:
        """Parse the next bytes of the body; raises BadMultipart."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadMultipart(type(error).__name__) from None

    def finish(self) -> None:
        """Raise BadMultipart where the body ended before its last boundary."""
        if not self._ended:
            raise BadMultipart("the body ends before its last boundary")

    def discard(self) -> None:
        """Discard a part that has not ended."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.discard()

    def _end_header(self) -> None:
        name = self._name.decode("latin-1").strip().lower()
        self._headers[name] = self._value.decode("latin-1").strip()
        self._name.clear()
        self._value.clear()

    def _begin_part(self) -> None:
        headers, self._headers = self._headers, {}
        self._sink = self._begin(headers)

    def _add(self, data: bytes, start: int, end: int) -> None:
        if self._sink is not None:
            self._sink.write(memoryview(data)[start:end])

    def _end_part(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.finish()

    def _end(self) -> None:
        self._ended = True
