"""Covered: headers of presentation data values, and messages from fragments in any pieces.

Not covered: sockets and pynetdicom (tests/integration/test_storage_server_pdus.py).
"""

import struct
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storescp.association.assembly import (
    MAX_COMMAND_BYTES,
    MAX_GATHERED,
    MAX_OTHER_DATA_SET,
    Assembly,
)
from storescp.association.command import Command
from storescp.association.pdu import BadPdu, Fragment, encode_command, read_fragment
from storescp.status import UNDECODABLE, Refusal
from tests.unit.storescp.association.test_command import command_set

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
class Service:
    """Keeps what is asked of it."""

    sinks: list[Sink] = field(default_factory=list)
    answers: list[tuple[int, int, Refusal | None]] = field(default_factory=list)
    passed_on: list[tuple[int, int, bytes]] = field(default_factory=list)
    refusal: Refusal | None = None

    def begin(self, command: Command, context_id: int) -> Sink:
        self.sinks.append(Sink(refusal=self.refusal))
        return self.sinks[-1]

    def answer(self, command: Command, context_id: int, refusal: Refusal | None) -> None:
        self.answers.append((command.message_id, context_id, refusal))

    def pass_on(self, context_id: int, control: int, part: bytes) -> None:
        self.passed_on.append((context_id, control, part))


def feed(
    assembly: Assembly,
    data: bytes,
    *,
    command: bool,
    last: bool = True,
    context: int = CONTEXT,
    pieces: int = 1,
) -> None:
    """One fragment, as if it were read from the network in so many pieces."""
    fragment = Fragment(context, command, last, len(data))
    assembly.check(fragment)
    size = max(1, -(-len(data) // pieces))
    starts = range(0, max(1, len(data)), size)
    for start in starts:
        ended = start == starts[-1]
        part = memoryview(data)[start : start + size]
        assembly.add(fragment, part, last=ended and last)


@given(
    st.lists(st.binary(max_size=50), min_size=1, max_size=5),
    st.integers(1, 4),
    st.integers(1, 100),
)
def test_a_data_set_arrives_whole_however_it_is_cut(
    fragments: list[bytes], pieces: int, cut: int
) -> None:
    service = Service()
    assembly = Assembly(service)

    for _ in range(2):
        feed(assembly, STORE[:cut], command=True, last=False, pieces=pieces)
        feed(assembly, STORE[cut:], command=True, pieces=pieces)
        for index, one in enumerate(fragments):
            last = index == len(fragments) - 1
            feed(assembly, one, command=False, last=last, pieces=pieces)

    assert [bytes(sink.data) for sink in service.sinks] == [b"".join(fragments)] * 2
    assert service.answers == [(7, CONTEXT, None)] * 2
    assert not assembly.begun


def test_a_data_set_of_many_small_parts_arrives_whole() -> None:
    service = Service()
    assembly = Assembly(service)
    data = bytes(n % 251 for n in range(3 * MAX_GATHERED))

    feed(assembly, STORE, command=True)
    feed(assembly, data, command=False, pieces=len(data))

    assert service.sinks[0].data == data


def test_a_part_may_change_after_a_flush() -> None:
    service = Service()
    assembly = Assembly(service)
    fragment = Fragment(CONTEXT, is_command=False, is_last=False, length=8)
    buffer = bytearray(b"half")

    feed(assembly, STORE, command=True)
    assembly.add(fragment, memoryview(buffer), last=False)
    assembly.flush()
    buffer[:] = b"rest"
    assembly.add(fragment, memoryview(buffer), last=True)

    assert service.sinks[0].data == b"halfrest"


def test_a_refusal_is_answered_after_the_whole_data_set() -> None:
    refusal = Refusal(UNDECODABLE, "no")
    service = Service(refusal=refusal)
    assembly = Assembly(service)

    feed(assembly, STORE, command=True)
    feed(assembly, b"half", command=False, last=False)
    assert service.answers == []
    feed(assembly, b"rest", command=False)

    assert service.answers == [(7, CONTEXT, refusal)]


def test_a_c_store_without_a_data_set_is_answered_at_once() -> None:
    service = Service()

    feed(Assembly(service), command_set(CommandDataSetType=0x0101), command=True)

    assert len(service.answers) == 1


def test_other_messages_are_passed_on_with_their_data_sets() -> None:
    service = Service()
    assembly = Assembly(service)

    feed(assembly, ECHO, command=True)
    feed(assembly, ACTION, command=True)
    feed(assembly, b"data", command=False, pieces=2)
    feed(assembly, STORE, command=True)
    feed(assembly, b"data", command=False)

    assert service.passed_on == [
        (CONTEXT, 3, ECHO),
        (CONTEXT, 3, ACTION),
        (CONTEXT, 0, b"da"),
        (CONTEXT, 2, b"ta"),
    ]
    assert len(service.answers) == 1


def test_what_is_discarded_in_the_middle_leaves_a_clean_start() -> None:
    service = Service()
    assembly = Assembly(service)
    feed(assembly, STORE, command=True)
    feed(assembly, b"half", command=False, last=False)

    assembly.discard()

    assert service.sinks[0].discarded
    feed(assembly, STORE, command=True)
    assert len(service.sinks) == 2


def test_a_command_within_a_data_set_is_bad() -> None:
    assembly = Assembly(Service())
    feed(assembly, STORE, command=True)
    feed(assembly, b"half", command=False, last=False)

    with pytest.raises(BadPdu, match="within a data set"):
        feed(assembly, ECHO, command=True)


def test_a_data_set_without_a_command_is_bad() -> None:
    with pytest.raises(BadPdu, match="without a command"):
        feed(Assembly(Service()), b"data", command=False)


@pytest.mark.parametrize("where", ["command", "data set"])
def test_another_context_within_a_message_is_bad(where: str) -> None:
    assembly = Assembly(Service())
    feed(assembly, STORE, command=True, last=where != "command")

    with pytest.raises(BadPdu, match="another presentation context"):
        feed(assembly, b"rest", command=where == "command", context=CONTEXT + 2)


def test_a_command_without_end_is_bad() -> None:
    assembly = Assembly(Service())
    feed(assembly, bytes(MAX_COMMAND_BYTES), command=True, last=False)

    with pytest.raises(BadPdu, match="without end"):
        feed(assembly, b"x", command=True, last=False)


def test_the_data_set_of_another_message_has_an_end() -> None:
    assembly = Assembly(Service())
    feed(assembly, ACTION, command=True)
    feed(assembly, bytes(MAX_OTHER_DATA_SET), command=False, last=False)

    with pytest.raises(BadPdu, match="without end"):
        feed(assembly, b"x", command=False, last=False)


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
