"""Covered: decoding of requests, and their results on a real spool."""

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from common.dicomnet import status
from common.spool.layout import SeriesKey, instance_path
from common.spool.part10 import encode_header
from common.spool.writer import SpoolWriter
from storescp.commitment.request import (
    ALL_COMMITTED,
    SOME_FAILED,
    BadCommitmentRequest,
    CommitmentRequest,
    Reference,
    commit_result,
    read_request,
)


def hold(writer: SpoolWriter, series: str, sop_instance_uid: str) -> Reference:
    header = encode_header(CTImageStorage, sop_instance_uid, ExplicitVRLittleEndian, "CT_01")
    path = instance_path(writer.spool_dir, SeriesKey("1.2", series), sop_instance_uid)
    writer.write(path, (header, b"data"))
    return Reference(CTImageStorage, sop_instance_uid)


def test_what_lies_in_the_spool_is_committed_whatever_its_series(writer: SpoolWriter) -> None:
    held = tuple(hold(writer, f"1.2.{n}", f"1.2.{n}.1") for n in range(3))

    result = commit_result(writer.spool_dir, CommitmentRequest("1.9", held))

    assert (result.committed, result.failed) == (held, ())
    assert result.event_type == ALL_COMMITTED
    ds = result.to_data_set()
    assert ds.TransactionUID == "1.9"
    assert [one.ReferencedSOPInstanceUID for one in ds.ReferencedSOPSequence] == [
        "1.2.0.1",
        "1.2.1.1",
        "1.2.2.1",
    ]
    assert "FailedSOPSequence" not in ds


def test_what_is_not_there_or_is_another_class_has_failed(writer: SpoolWriter) -> None:
    held = hold(writer, "1.2.3", "1.2.3.1")
    other = Reference(EnhancedCTImageStorage, hold(writer, "1.2.3", "1.2.3.2").sop_instance_uid)
    away = Reference(CTImageStorage, "1.2.3.9")

    result = commit_result(writer.spool_dir, CommitmentRequest("1.9", (held, other, away)))

    assert result.event_type == SOME_FAILED
    assert result.committed == (held,)
    assert result.failed == (
        (other, status.CLASS_INSTANCE_CONFLICT),
        (away, status.NO_SUCH_SOP_INSTANCE),
    )
    items = result.to_data_set().FailedSOPSequence
    assert [one.FailureReason for one in items] == [0x0119, 0x0112]


def test_a_request_is_read() -> None:
    ds, item = Dataset(), Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, "1.2.3"
    ds.TransactionUID, ds.ReferencedSOPSequence = "1.9", [item]

    assert read_request(ds) == CommitmentRequest("1.9", (Reference(CTImageStorage, "1.2.3"),))


@pytest.mark.parametrize("missing", ["TransactionUID", "ReferencedSOPSequence"])
def test_a_request_without_its_parts_is_bad(missing: str) -> None:
    ds = Dataset()
    ds.TransactionUID, ds.ReferencedSOPSequence = "1.9", [Dataset()]
    del ds[missing]

    with pytest.raises(BadCommitmentRequest):
        read_request(ds)


@pytest.mark.parametrize("keyword", ["ReferencedSOPClassUID", "ReferencedSOPInstanceUID"])
@pytest.mark.parametrize("value", [None, "../../../etc/passwd"])
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
def test_a_reference_that_is_none_is_bad(keyword: str, value: str | None) -> None:
    ds, item = Dataset(), Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, "1.2.3"
    setattr(item, keyword, value)
    ds.TransactionUID, ds.ReferencedSOPSequence = "1.9", [item]

    with pytest.raises(BadCommitmentRequest):
        read_request(ds)
