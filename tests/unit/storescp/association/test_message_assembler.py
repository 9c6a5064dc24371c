"""Covered: PDV headers, and messages from fragments in parts of any size.

Not covered: sockets and pynetdicom (tests/integration/test_storage_server_pdus.py).
"""

import struct
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.dicomnet.status import UNDECODABLE
from storescp.association.command import Command
from storescp.association.message_assembler import (
    MAX_COMMAND_BYTES,
    MAX_GATHERED,
    MAX_OTHER_DATA_SET,
    MessageAssembler,
)
from storescp.association.pdu import BadPdu, Fragment, encode_command, read_fragment
from storescp.store.refusal import Refusal
from tests.support.raw_pdu import command_set

STORE = command_set()
ECHO = command_set(CommandField=0x0030, CommandDataSetType=0x0101)
ACTION = command_set(CommandField=0x0130)
CONTEXT = 3


@dataclass
class Sink:
    """Keeps what it gets."""

    data: bytearray = field(default_factory=bytearray)
    refusal: Refusal | None = None
    discarded: bool = False

    def write(self, *parts: bytes | memoryview) -> None:
        self.data += b"".join(parts)

    def finish(self) -> Refusal | None:
        return self.refusal

    def discard(self) -> None:
        self.discarded = True


@dataclass
class Handler:
    """Keeps what it gets."""

    sinks: list[Sink] = field(default_factory=list)
    answers: list[tuple[int, int, Refusal | None]] = field(default_factory=list)
    forwarded: list[tuple[int, int, bytes]] = field(default_factory=list)
    refusal: Refusal | None = None

    def begin_store(self, command: Command, context_id: int) -> Sink:
        self.sinks.append(Sink(refusal=self.refusal))
        return self.sinks[-1]

    def answer_store(self, command: Command, context_id: int, refusal: Refusal | None) -> None:
        self.answers.append((command.message_id, context_id, refusal))

    def forward(self, context_id: int, control: int, part: bytes) -> None:
        self.forwarded.append((context_id, control, part))


def feed(
    assembler: MessageAssembler,
    data: bytes,
    *,
    command: bool,
    last: bool = True,
    context: int = CONTEXT,
    pieces: int = 1,
) -> None:
    """Add one fragment in ``pieces`` parts."""
    fragment = Fragment(context, command, last, len(data))
    assembler.check(fragment)
    size = max(1, -(-len(data) // pieces))
    starts = range(0, max(1, len(data)), size)
    for start in starts:
        ended = start == starts[-1]
        part = memoryview(data)[start : start + size]
        assembler.add(fragment, part, last=ended and last)


@given(
    st.lists(st.binary(max_size=50), min_size=1, max_size=5),
    st.integers(1, 4),
    st.integers(1, 100),
)
def test_a_data_set_arrives_whole_however_it_is_cut(
    fragments: list[bytes], pieces: int, cut: int
) -> None:
    handler = Handler()
    assembler = MessageAssembler(handler)

    for _ in range(2):
        feed(assembler, STORE[:cut], command=True, last=False, pieces=pieces)
        feed(assembler, STORE[cut:], command=True, pieces=pieces)
        for index, one in enumerate(fragments):
            last = index == len(fragments) - 1
            feed(assembler, one, command=False, last=last, pieces=pieces)

    assert [bytes(sink.data) for sink in handler.sinks] == [b"".join(fragments)] * 2
    assert handler.answers == [(7, CONTEXT, None)] * 2
    assert not assembler.in_message


def test_a_data_set_of_many_small_parts_arrives_whole() -> None:
    handler = Handler()
    assembler = MessageAssembler(handler)
    data = bytes(n % 251 for n in range(3 * MAX_GATHERED))

    feed(assembler, STORE, command=True)
    feed(assembler, data, command=False, pieces=len(data))

    assert handler.sinks[0].data == data


def test_a_part_may_change_after_a_flush() -> None:
    handler = Handler()
    assembler = MessageAssembler(handler)
    fragment = Fragment(CONTEXT, is_command=False, is_last=False, length=8)
    buffer = bytearray(b"half")

    feed(assembler, STORE, command=True)
    assembler.add(fragment, memoryview(buffer), last=False)
    assembler.flush()
    buffer[:] = b"rest"
    assembler.add(fragment, memoryview(buffer), last=True)

    assert handler.sinks[0].data == b"halfrest"


def test_a_refusal_is_answered_after_the_whole_data_set() -> None:
    refusal = Refusal(UNDECODABLE, "no")
    handler = Handler(refusal=refusal)
    assembler = MessageAssembler(handler)

    feed(assembler, STORE, command=True)
    feed(assembler, b"half", command=False, last=False)
    assert handler.answers == []
    feed(assembler, b"rest", command=False)

    assert handler.answers == [(7, CONTEXT, refusal)]


def test_a_c_store_without_a_data_set_is_answered_at_once() -> None:
    handler = Handler()

    feed(MessageAssembler(handler), command_set(CommandDataSetType=0x0101), command=True)

    assert len(handler.answers) == 1


def test_other_messages_are_forwarded_with_their_data_sets() -> None:
    handler = Handler()
    assembler = MessageAssembler(handler)

    feed(assembler, ECHO, command=True)
    feed(assembler, ACTION, command=True)
    feed(assembler, b"data", command=False, pieces=2)
    feed(assembler, STORE, command=True)
    feed(assembler, b"data", command=False)

    assert handler.forwarded == [
        (CONTEXT, 3, ECHO),
        (CONTEXT, 3, ACTION),
        (CONTEXT, 0, b"da"),
        (CONTEXT, 2, b"ta"),
    ]
    assert len(handler.answers) == 1


def test_a_message_can_follow_a_discarded_one() -> None:
    handler = Handler()
    assembler = MessageAssembler(handler)
    feed(assembler, STORE, command=True)
    feed(assembler, b"half", command=False, last=False)

    assembler.discard()

    assert handler.sinks[0].discarded
    feed(assembler, STORE, command=True)
    assert len(handler.sinks) == 2


def test_a_command_within_a_data_set_is_bad() -> None:
    assembler = MessageAssembler(Handler())
    feed(assembler, STORE, command=True)
    feed(assembler, b"half", command=False, last=False)

    with pytest.raises(BadPdu, match="within a data set"):
        feed(assembler, ECHO, command=True)


def test_a_data_set_without_a_command_is_bad() -> None:
    with pytest.raises(BadPdu, match="without a command"):
        feed(MessageAssembler(Handler()), b"data", command=False)


@pytest.mark.parametrize("where", ["command", "data set"])
def test_another_context_within_a_message_is_bad(where: str) -> None:
    assembler = MessageAssembler(Handler())
    feed(assembler, STORE, command=True, last=where != "command")

    with pytest.raises(BadPdu, match="another presentation context"):
        feed(assembler, b"rest", command=where == "command", context=CONTEXT + 2)


def test_a_command_without_end_is_bad() -> None:
    assembler = MessageAssembler(Handler())
    feed(assembler, bytes(MAX_COMMAND_BYTES), command=True, last=False)

    with pytest.raises(BadPdu, match="without end"):
        feed(assembler, b"x", command=True, last=False)


def test_the_data_set_of_another_message_has_an_end() -> None:
    assembler = MessageAssembler(Handler())
    feed(assembler, ACTION, command=True)
    feed(assembler, bytes(MAX_OTHER_DATA_SET), command=False, last=False)

    with pytest.raises(BadPdu, match="without end"):
        feed(assembler, b"x", command=False, last=False)


@pytest.mark.parametrize("length", [0, 1, 97, 2**32 - 1])
def test_an_item_that_does_not_fit_its_pdu_is_bad(length: int) -> None:
    with pytest.raises(BadPdu):
        read_fragment(struct.pack(">LBB", length, 1, 0), 100)


@pytest.mark.parametrize(("length", "expected"), [(2, 0), (96, 94)])
def test_an_item_that_fits_is_read(length: int, expected: int) -> None:
    fragment = read_fragment(struct.pack(">LBB", length, 5, 0b11), 100)

    assert fragment == Fragment(5, is_command=True, is_last=True, length=expected)


@pytest.mark.parametrize("limit", [0, 7, 20, 131072])
def test_a_response_is_cut_to_what_the_peer_takes(limit: int) -> None:
    command = bytes(range(100))

    pdus = list(encode_command(command, 5, max_pdu_length=limit))

    parts = []
    for pdu in pdus:
        kind, length, item, context, control = struct.unpack_from(">BxLLBB", pdu)
        assert (kind, context, length) == (4, 5, len(pdu) - 6)
        assert length == item + 4
        assert not limit or length <= max(limit, 8)
        assert control == (3 if pdu is pdus[-1] else 1)
        parts.append(pdu[12:])
    assert b"".join(parts) == command
