"""Covered: DICOM files in parts of any size, whole and broken, into a real spool; the body of a
multipart message around them.
"""

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import JPEGBaseline8Bit, MRImageStorage

from db.spool import SeriesKey, SpoolWriter, instance_path
from storescp import status
from storescp.file_intake import FileIntake
from storescp.operation import Intake
from storescp.part10 import MAX_HEADER_BYTES, read_header
from storescp.registration.arrivals import Arrivals
from storescp.settings import StoreScpSettings
from storescp.stow.multipart import BadMultipart, Parts, boundary_of
from tests.ct_factory import ct_instance, encode, write_files


@pytest.fixture
def intake(tmp_path: Path) -> Intake:
    writer = SpoolWriter(tmp_path / "spool")
    writer.prepare()
    values = {"spool_dir": tmp_path / "spool", "min_free_mb": 0, "max_instance_mb": 1}
    return Intake(writer, StoreScpSettings.model_validate(values), Arrivals())


def file_of(ds: Dataset, folder: Path) -> bytes:
    return write_files([ds], folder / ds.SOPInstanceUID)[0].read_bytes()


def take(
    intake: Intake, content: bytes, *, step: int = 65_536, study: str | None = None
) -> int:
    """The status that the file gets (0: it is durable)."""
    files = FileIntake(
        intake, sender=intake.arrivals, source="STOW-RS", study_instance_uid=study
    )
    for start in range(0, len(content), step):
        files.write(memoryview(content)[start : start + step])
    files.finish()
    (one,) = files.received
    return one.refusal.status if one.refusal else 0


def spool_of(intake: Intake) -> list[Path]:
    return [path for path in intake.writer.spool_dir.rglob("*") if path.is_file()]


@pytest.mark.parametrize("step", [1, 131, 1_000_000])
def test_a_file_is_stored_as_sent_in_parts_of_any_size(
    step: int, intake: Intake, tmp_path: Path
) -> None:
    ds = ct_instance(size=512 if step > 200 else 16)

    assert take(intake, file_of(ds, tmp_path), step=step) == 0

    key = SeriesKey(ds.StudyInstanceUID, ds.SeriesInstanceUID)
    path = instance_path(intake.writer.spool_dir, key, ds.SOPInstanceUID)
    meta = read_header(path)
    assert path.read_bytes()[meta.data_set_offset :] == encode(ds)
    assert meta.calling_ae_title == "STOW-RS"
    assert intake.arrivals.pending() == 1


def test_what_is_no_ct_or_not_decodable_is_refused(intake: Intake, tmp_path: Path) -> None:
    mr = file_of(ct_instance(SOPClassUID=MRImageStorage), tmp_path)
    jpeg = file_of(ct_instance(), tmp_path).replace(
        b"1.2.840.10008.1.2.1\0", JPEGBaseline8Bit[:19].encode() + b"\0"
    )

    assert take(intake, mr) == status.SOP_CLASS_NOT_SUPPORTED
    assert take(intake, jpeg) == status.TRANSFER_SYNTAX_NOT_SUPPORTED
    assert spool_of(intake) == []


def test_another_study_than_the_one_named_is_refused(intake: Intake, tmp_path: Path) -> None:
    ds = ct_instance()

    assert take(intake, file_of(ds, tmp_path), study="1.2.3") == status.DATA_SET_DOES_NOT_MATCH
    assert take(intake, file_of(ds, tmp_path), study=ds.StudyInstanceUID) == 0


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2/3", "1..2", ""])
def test_a_uid_that_is_none_is_refused(uid: str, intake: Intake, tmp_path: Path) -> None:
    ds = ct_instance()
    content = file_of(ds, tmp_path)
    wrong = uid.encode().ljust(len(ds.StudyInstanceUID), b"\0")
    changed = content.replace(ds.StudyInstanceUID.encode(), wrong)

    assert take(intake, changed) == status.INVALID_UID
    assert spool_of(intake) == []


def test_an_instance_over_the_limit_is_refused(intake: Intake, tmp_path: Path) -> None:
    assert take(intake, file_of(ct_instance(size=800), tmp_path)) == status.OUT_OF_RESOURCES
    assert spool_of(intake) == []


def test_a_header_without_end_is_not_gathered(intake: Intake) -> None:
    element = struct.pack("<HH2sH", 2, 0x0102, b"OB", 0) + struct.pack("<L", 0xFFFFFF00)
    many = struct.pack("<HH2sH", 2, 0x0100, b"UI", 0) * (MAX_HEADER_BYTES // 8 + 1)

    for meta in (element, many):
        assert take(intake, bytes(128) + b"DICM" + meta, step=4096) == status.UNDECODABLE


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=400), st.integers(0, 1), st.integers(1, 99))
def test_garbage_is_refused_and_leaves_nothing(
    intake: Intake, garbage: bytes, magic: int, step: int
) -> None:
    content = (bytes(128) + b"DICM") * magic + garbage

    assert take(intake, content, step=step) != 0
    assert spool_of(intake) == []


def body_of(*files: bytes, boundary: bytes = b"b") -> bytes:
    head = b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(head + one + b"\r\n" for one in files) + b"--" + boundary + b"--\r\n"


@pytest.mark.parametrize("step", [7, 100_000])
def test_each_part_of_a_message_is_a_file(step: int, intake: Intake, tmp_path: Path) -> None:
    body = body_of(*(file_of(ct_instance(), tmp_path) for _ in range(3)))
    files = FileIntake(intake, sender=intake.arrivals, source="STOW-RS")
    parts = Parts(b"b", lambda headers: files)

    for start in range(0, len(body), step):
        parts.write(body[start : start + step])
    parts.finish()

    assert [one.refusal for one in files.received] == [None] * 3
    assert len(spool_of(intake)) == 3


def test_a_message_that_breaks_off_keeps_the_parts_that_had_ended(
    intake: Intake, tmp_path: Path
) -> None:
    body = body_of(*(file_of(ct_instance(), tmp_path) for _ in range(2)))
    files = FileIntake(intake, sender=intake.arrivals, source="STOW-RS")
    parts = Parts(b"b", lambda headers: files)

    parts.write(body[:-20])
    with pytest.raises(BadMultipart):
        parts.finish()
    parts.discard()

    assert len(files.received) == 1
    assert len(spool_of(intake)) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"--c\r\n\r\nx\r\n--c--",  # another boundary
        b"--b\r\n" + b"A: b\r\n" * 10_000 + b"\r\n",
        b"--b\r\nA: " + b"b" * 10_000_000,
        b"--b\r\nA\0: b\r\n\r\n",
    ],
)
def test_a_broken_message_is_told_at_once(body: bytes) -> None:
    def read_all() -> None:
        parts = Parts(b"b", lambda headers: pytest.fail("no part begins"))
        parts.write(body)
        parts.finish()

    with pytest.raises(BadMultipart):
        read_all()


@pytest.mark.parametrize("boundary", [b"", b"x" * 1000])
def test_a_boundary_that_is_none(boundary: bytes) -> None:
    with pytest.raises(BadMultipart):
        Parts(boundary, lambda headers: pytest.fail("no part begins"))


def test_the_content_type_is_read() -> None:
    assert boundary_of('multipart/related; type="application/dicom"; boundary=--x--') == (
        "multipart/related", "application/dicom", b"--x--"
    )  # fmt: skip
    assert boundary_of("") == ("", "", b"")
