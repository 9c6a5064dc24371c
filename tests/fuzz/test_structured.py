"""Covered: data sets and PDU streams that hypothesis builds from valid parts: complete ones are
read unchanged, truncated ones are detected.

Not covered: invalid bytes (``python -m tests.fuzz``).
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from common.dicom.errors import Undecodable
from storescp.association.command import Command
from storescp.association.message_assembler import DataSetSink, MessageAssembler
from storescp.association.pdv_reader import PdvReader
from storescp.store.refusal import Refusal
from tests.support.ct_factory import encode
from tests.support.encoded import identity_in
from tests.support.raw_pdu import COMMAND, DATA, LAST, p_data, pdv, store

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
    """Data sets with the four UIDs."""
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

    read = identity_in(encode(ds, syntax), syntax)

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
        identity_in(encoded[:cut], syntax)


class Kept:
    """A handler that keeps all data sets."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.answered: list[Command] = []

    def begin_store(self, command: Command, context_id: int) -> DataSetSink:
        self.parts.append(b"")
        return self

    def answer_store(self, command: Command, context_id: int, refusal: Refusal | None) -> None:
        self.answered.append(command)

    def forward(self, context_id: int, control: int, part: bytes) -> None:
        raise AssertionError("only C-STORE is sent here")

    def write(self, *parts: bytes | memoryview) -> None:
        self.parts[-1] += b"".join(parts)

    def finish(self) -> Refusal | None:
        return None

    def discard(self) -> None:
        raise AssertionError("every message is complete")


@given(
    messages=st.lists(
        st.tuples(UIDS, st.lists(st.binary(max_size=20), max_size=5)), max_size=4
    ),
    cut=st.integers(0, 200),
    step=st.integers(1, 300),
)
@settings(deadline=None)
def test_messages_are_the_same_however_they_are_cut(
    messages: list[tuple[str, list[bytes]]], cut: int, step: int
) -> None:
    items = []
    for uid, parts in messages:
        command = store(uid)
        items += [pdv(1, COMMAND, command[:cut]) + pdv(1, COMMAND | LAST, command[cut:])]
        items += [pdv(1, DATA, part) for part in parts] + [pdv(1, DATA | LAST, b"")]
    stream = b"".join(p_data(one) for one in items)
    kept = Kept()
    assembler = MessageAssembler(kept)
    reader = PdvReader(assembler, max_pdu_bytes=1000)

    start = 0
    while start < len(stream):
        available = max(reader.needed, step)
        start += reader.read(memoryview(stream)[start : start + available])
    while reader.in_fragment:  # an empty fragment at the end
        reader.read(memoryview(b""))

    assert [command.sop_instance_uid for command in kept.answered] == [
        uid for uid, _ in messages
    ]
    assert kept.parts == [b"".join(parts) for _, parts in messages]
    assert not assembler.in_message
    assert reader.at_pdu
