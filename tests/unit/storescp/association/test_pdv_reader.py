"""Covered: PDU streams as bytes, in steps of any size.

Not covered: the socket (tests/integration/test_storage_server_pdus.py); random streams
(tests/fuzz/test_structured.py).
"""

import pytest

from storescp.association.command import Command
from storescp.association.message_assembler import DataSetSink, MessageAssembler
from storescp.association.pdu import BadPdu
from storescp.association.pdv_reader import PdvReader
from storescp.store.refusal import Refusal
from tests.support.raw_pdu import COMMAND, DATA, ECHO, LAST, p_data, pdv, store


class Handler:
    """Keeps the data sets, and the messages that are forwarded."""

    def __init__(self) -> None:
        self.data_sets: list[bytes] = []
        self.forwarded: list[bytes] = []

    def begin_store(self, command: Command, context_id: int) -> DataSetSink:
        self.data_sets.append(b"")
        return self

    def answer_store(self, command: Command, context_id: int, refusal: Refusal | None) -> None:
        pass

    def forward(self, context_id: int, control: int, part: bytes) -> None:
        self.forwarded.append(part)

    def write(self, *parts: bytes | memoryview) -> None:
        self.data_sets[-1] += b"".join(parts)

    def finish(self) -> Refusal | None:
        return None

    def discard(self) -> None:
        self.data_sets.pop()


def reader_of(handler: Handler) -> PdvReader:
    return PdvReader(MessageAssembler(handler), max_pdu_bytes=1000)


def read_all(reader: PdvReader, stream: bytes, *, step: int = 1000) -> None:
    """Read a stream of which at most ``step`` bytes are available at once."""
    start = 0
    while start < len(stream):
        available = max(reader.needed, step)
        start += reader.read(memoryview(stream)[start : start + available])


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_stream_is_read_in_steps_of_any_size(step: int) -> None:
    handler = Handler()
    reader = reader_of(handler)
    stream = (
        p_data(pdv(3, COMMAND | LAST, ECHO))
        + p_data(pdv(1, COMMAND | LAST, store("1.2.3")), pdv(1, DATA, b"abc"))
        + p_data()
        + p_data(pdv(1, DATA, b""), pdv(1, DATA | LAST, b"def"))
    )

    read_all(reader, stream, step=step)

    assert handler.forwarded == [ECHO]
    assert handler.data_sets == [b"abcdef"]
    assert reader.at_pdu


def test_the_reader_needs_a_header_or_one_byte_of_a_fragment() -> None:
    reader = reader_of(Handler())
    stream = p_data(pdv(1, COMMAND | LAST, store("1.2.3")))

    needed = [reader.needed]
    for end in (6, 12):
        reader.read(memoryview(stream)[end - 6 : end])
        needed.append(reader.needed)

    assert needed == [6, 6, 1]
    assert reader.in_fragment


def test_an_empty_fragment_needs_no_bytes() -> None:
    reader = reader_of(Handler())
    stream = p_data(pdv(1, COMMAND | LAST, store("1.2.3")), pdv(1, DATA | LAST, b""))

    read_all(reader, stream)

    assert (reader.in_fragment, reader.needed) == (True, 0)
    assert reader.read(memoryview(b"")) == 0
    assert reader.at_pdu


@pytest.mark.parametrize(
    ("stream", "problem"),
    [
        (b"\4\0\0\0\x03\xe9" + bytes(100), "more than was agreed"),
        (b"\7\0\0\0\0\4" + bytes(4), "type 0x07"),
        (b"\4\0\0\0\0\3" + bytes(3), "behind the last item"),
        (b"\4\0\0\0\0\x0a" + b"\0\0\0\x64\1\0" + bytes(4), "item of 100 bytes"),
    ],
)
def test_a_stream_that_violates_the_protocol_is_bad(stream: bytes, problem: str) -> None:
    with pytest.raises(BadPdu, match=problem):
        read_all(reader_of(Handler()), stream)


def test_a_new_message_may_follow_a_reset() -> None:
    handler = Handler()
    assembler = MessageAssembler(handler)
    reader = PdvReader(assembler, max_pdu_bytes=1000)
    begun = p_data(pdv(1, COMMAND | LAST, store("1.2.3")), pdv(1, DATA, b"abc"))
    read_all(reader, begun[:-1])

    assembler.discard()
    reader.reset()
    read_all(reader, begun + p_data(pdv(1, DATA | LAST, b"def")))

    assert handler.data_sets == [b"abcdef"]
