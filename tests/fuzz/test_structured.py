"""Covered: data sets and streams of fragments that hypothesis makes up from valid parts: what
is whole is read as it is, what is cut is said to be.

Not covered: bytes that are not valid at all (``python -m tests.fuzz``).
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from storescp.association.assembly import Assembly, Sink
from storescp.association.command import Command
from storescp.association.pdu import PDV_HEADER, read_fragment
from storescp.dataset import Undecodable, read_identity
from storescp.status import Refusal
from tests.ct_factory import encode
from tests.integration.rude import COMMAND, DATA, LAST, pdv, store

UIDS = st.from_regex(r"[1-9][0-9]{0,8}(\.[1-9][0-9]{0,8}){0,5}", fullmatch=True)
SYNTAXES = st.sampled_from(
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
ELEMENTS: dict[str, st.SearchStrategy[Any]] = {
    "ImageType": st.lists(st.sampled_from(["ORIGINAL", "PRIMARY", "AXIAL"]), max_size=4),
    "PatientComments": st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=90),
    "Rows": st.integers(0, 65_535),
    "PatientSex": st.none(),
    "EncapsulatedDocument": st.binary(max_size=64).map(
        lambda data: data + b"\0" * (len(data) % 2)
    ),
}


def identities() -> st.SearchStrategy[Dataset]:
    """A data set with its four UIDs."""
    names = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    return st.builds(_data_set, st.fixed_dictionaries(dict.fromkeys(names, UIDS)))


def _data_set(values: dict[str, Any]) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


LEAVES = st.builds(_data_set, st.fixed_dictionaries({}, optional=ELEMENTS))


def _nested(items: st.SearchStrategy[Dataset]) -> st.SearchStrategy[Dataset]:
    def build(parts: list[Dataset], undefined: bool, undefined_items: bool) -> Dataset:
        ds = Dataset()
        ds.ReferencedImageSequence = Sequence(parts)
        ds["ReferencedImageSequence"].is_undefined_length = undefined
        for part in parts:
            part.is_undefined_length_sequence_item = undefined_items
        return ds

    return st.builds(build, st.lists(items, max_size=3), st.booleans(), st.booleans())


CONTENTS = st.recursive(LEAVES, _nested, max_leaves=8)


@given(identity=identities(), content=CONTENTS, syntax=SYNTAXES)
@settings(deadline=None)
def test_every_whole_data_set_is_read(identity: Dataset, content: Dataset, syntax: str) -> None:
    ds = Dataset()
    ds.update(content)
    ds.update(identity)

    read = read_identity(encode(ds, syntax), syntax, max_bytes=10_000)

    assert read.sop_class_uid == identity.SOPClassUID
    assert read.sop_instance_uid == identity.SOPInstanceUID
    assert read.study_instance_uid == identity.StudyInstanceUID
    assert read.series_instance_uid == identity.SeriesInstanceUID


@given(identity=identities(), syntax=SYNTAXES, data=st.data())
@settings(deadline=None)
def test_no_cut_within_an_element_goes_unnoticed(
    identity: Dataset, syntax: str, data: st.DataObject
) -> None:
    encoded = encode(identity, syntax)
    ends = {0}
    for element in identity:
        one = Dataset()
        one.add(element)
        ends.add(max(ends) + len(encode(one, syntax)))
    within = sorted(set(range(len(encoded))) - ends)

    cut = data.draw(st.sampled_from(within))

    # Up to 7 zero bytes at the end are padding: a header that begins with them is not seen.
    tail = encoded[max(end for end in ends if end < cut) : cut]
    if len(tail) < 8 and not any(tail):
        return
    with pytest.raises(Undecodable):
        read_identity(encoded[:cut], syntax, max_bytes=10_000)


class Kept:
    """A service that keeps the data sets it is given."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.answered: list[Command] = []

    def begin(self, command: Command, context_id: int) -> Sink:
        self.parts.append(b"")
        return self

    def answer(self, command: Command, context_id: int, refusal: Refusal | None) -> None:
        self.answered.append(command)

    def pass_on(self, context_id: int, control: int, part: bytes) -> None:
        raise AssertionError("only C-STORE is sent here")

    def write(self, *parts: bytes | memoryview) -> None:
        self.parts[-1] += b"".join(parts)

    def finish(self) -> Refusal | None:
        return None

    def discard(self) -> None:
        raise AssertionError("every message has come to its end")


@given(
    messages=st.lists(
        st.tuples(UIDS, st.lists(st.binary(max_size=20), max_size=5)), max_size=4
    ),
    cut=st.integers(0, 200),
)
@settings(deadline=None)
def test_messages_are_the_same_however_they_are_cut(
    messages: list[tuple[str, list[bytes]]], cut: int
) -> None:
    stream = b""
    for uid, parts in messages:
        command = store(uid)
        stream += pdv(1, COMMAND, command[:cut]) + pdv(1, COMMAND | LAST, command[cut:])
        stream += b"".join(pdv(1, DATA, part) for part in parts) + pdv(1, DATA | LAST, b"")
    kept = Kept()
    assembly = Assembly(kept)

    rest = memoryview(stream)
    while rest:
        fragment = read_fragment(rest[: PDV_HEADER.size], len(rest))
        assembly.check(fragment)
        end = PDV_HEADER.size + fragment.length
        assembly.add(fragment, rest[PDV_HEADER.size : end], last=fragment.is_last)
        rest = rest[end:]

    assert [command.sop_instance_uid for command in kept.answered] == [
        uid for uid, _ in messages
    ]
    assert kept.parts == [b"".join(parts) for _, parts in messages]
    assert not assembly.begun
