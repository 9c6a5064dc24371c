"""Covered: command sets as pydicom encodes them, and hostile ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.uid import CTImageStorage

from common.dicomnet.status import OUT_OF_RESOURCES, SUCCESS
from storescp.association.command import BadCommand, Command, decode_command, encode_response
from tests.support.raw_pdu import command_set


def test_a_c_store_request_is_read() -> None:
    assert decode_command(command_set(MoveOriginatorMessageID=3)) == Command(
        field=0x0001,
        message_id=7,
        has_data_set=True,
        sop_class_uid=CTImageStorage,
        sop_instance_uid="1.2.3.4",
    )


def test_uids_that_are_absent_are_empty() -> None:
    command = decode_command(command_set(AffectedSOPInstanceUID=None, AffectedSOPClassUID=None))

    assert (command.sop_class_uid, command.sop_instance_uid) == ("", "")


def test_other_commands_need_no_message_id() -> None:
    command = decode_command(
        command_set(CommandField=0x0FFF, MessageID=None, CommandDataSetType=0x0101)
    )

    assert (command.field, command.has_data_set) == (0x0FFF, False)


@pytest.mark.parametrize("keyword", ["MessageID", "CommandField", "CommandDataSetType"])
def test_a_request_that_cannot_be_answered_is_bad(keyword: str) -> None:
    with pytest.raises(BadCommand):
        decode_command(command_set(**{keyword: None}))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_bad(encoded: bytes) -> None:
    try:
        decode_command(encoded)
    except BadCommand:
        return


@given(st.data())
def test_a_cut_or_changed_command_is_a_command_or_bad(data: st.DataObject) -> None:
    encoded = bytearray(command_set())
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_command(encoded[: data.draw(st.integers(0, len(encoded)))])
    except BadCommand:
        return


@pytest.mark.parametrize(
    ("status", "comment"), [(SUCCESS, ""), (OUT_OF_RESOURCES, "disk is full")]
)
def test_a_response_is_read_by_pydicom(status: int, comment: str) -> None:
    encoded = encode_response(decode_command(command_set()), status, comment)

    ds = read_dataset(DicomBytesIO(encoded), is_implicit_VR=True, is_little_endian=True)
    assert ds.CommandGroupLength == len(encoded) - 12
    assert ds.CommandField == 0x8001
    assert ds.MessageIDBeingRespondedTo == 7
    assert ds.CommandDataSetType == 0x0101
    assert ds.Status == status
    assert ds.AffectedSOPClassUID == CTImageStorage
    assert ds.AffectedSOPInstanceUID == "1.2.3.4"
    assert ds.get("ErrorComment", "") == comment
