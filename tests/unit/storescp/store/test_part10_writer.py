"""Covered: DICOM files in parts of any size, complete and broken, on a real spool; multipart
bodies that contain them.
"""

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import JPEGBaseline8Bit, MRImageStorage

from common.dicom.file_meta import MAX_META_BYTES
from common.dicomnet import status
from common.dicomnet.multipart import BadMultipart, MultipartReader, boundary_of
from common.settings.storescp import StoreScpSettings
from common.spool.layout import SeriesKey, instance_path
from common.spool.part10 import read_header
from common.spool.writer import SpoolWriter
from storescp.registration.associations import Associations
from storescp.registration.pending_series import PendingSeries
from storescp.store.part10_writer import Part10Writer
from storescp.store.store_operation import StorageService
from tests.support.ct_factory import ct_instance, encode, write_files


@pytest.fixture
def pending() -> PendingSeries:
    return PendingSeries()


@pytest.fixture
def service(tmp_path: Path, pending: PendingSeries) -> StorageService:
    writer = SpoolWriter(tmp_path / "spool")
    writer.prepare()
    values = {"spool_dir": tmp_path / "spool", "min_free_mb": 0, "max_instance_mb": 1}
    associations = Associations(pending, limit=1, limit_per_peer=1)
    return StorageService(writer, StoreScpSettings.model_validate(values), associations)


def file_of(ds: Dataset, folder: Path) -> bytes:
    return write_files([ds], folder / ds.SOPInstanceUID)[0].read_bytes()


def store(
    service: StorageService, content: bytes, *, step: int = 65_536, study: str | None = None
) -> int:
    """Write a file in parts and return its status (0: it is durable)."""
    files = Part10Writer(
        service, sender=service.associations, source="STOW-RS", study_instance_uid=study
    )
    for start in range(0, len(content), step):
        files.write(memoryview(content)[start : start + step])
    files.finish()
    (one,) = files.outcomes
    return one.refusal.status if one.refusal else 0


def spool_of(service: StorageService) -> list[Path]:
    return [path for path in service.writer.spool_dir.rglob("*") if path.is_file()]


@pytest.mark.parametrize("step", [1, 131, 1_000_000])
def test_a_file_is_stored_as_sent_in_parts_of_any_size(
    step: int, service: StorageService, pending: PendingSeries, tmp_path: Path
) -> None:
    ds = ct_instance(size=512 if step > 200 else 16)

    assert store(service, file_of(ds, tmp_path), step=step) == 0

    key = SeriesKey(ds.StudyInstanceUID, ds.SeriesInstanceUID)
    path = instance_path(service.writer.spool_dir, key, ds.SOPInstanceUID)
    meta = read_header(path)
    assert path.read_bytes()[meta.data_set_offset :] == encode(ds)
    assert meta.calling_ae_title == "STOW-RS"
    assert len(pending) == 1


def test_what_is_no_ct_or_not_decodable_is_refused(
    service: StorageService, tmp_path: Path
) -> None:
    mr = file_of(ct_instance(SOPClassUID=MRImageStorage), tmp_path)
    jpeg = file_of(ct_instance(), tmp_path).replace(
        b"1.2.840.10008.1.2.1\0", JPEGBaseline8Bit[:19].encode() + b"\0"
    )

    assert store(service, mr) == status.SOP_CLASS_NOT_SUPPORTED
    assert store(service, jpeg) == status.TRANSFER_SYNTAX_NOT_SUPPORTED
    assert spool_of(service) == []


def test_another_study_than_the_one_named_is_refused(
    service: StorageService, tmp_path: Path
) -> None:
    ds = ct_instance()

    assert (
        store(service, file_of(ds, tmp_path), study="1.2.3") == status.DATA_SET_DOES_NOT_MATCH
    )
    assert store(service, file_of(ds, tmp_path), study=ds.StudyInstanceUID) == 0


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2/3", "1..2", ""])
def test_a_uid_that_is_none_is_refused(
    uid: str, service: StorageService, tmp_path: Path
) -> None:
    ds = ct_instance()
    content = file_of(ds, tmp_path)
    wrong = uid.encode().ljust(len(ds.StudyInstanceUID), b"\0")
    changed = content.replace(ds.StudyInstanceUID.encode(), wrong)

    assert store(service, changed) == status.INVALID_UID
    assert spool_of(service) == []


def test_an_instance_over_the_limit_is_refused(service: StorageService, tmp_path: Path) -> None:
    assert store(service, file_of(ct_instance(size=800), tmp_path)) == status.OUT_OF_RESOURCES
    assert spool_of(service) == []


def test_a_header_without_end_is_not_gathered(service: StorageService) -> None:
    element = struct.pack("<HH2sH", 2, 0x0102, b"OB", 0) + struct.pack("<L", 0xFFFFFF00)
    numbers = range(0x0100, 0x0100 + MAX_META_BYTES // 8 + 1)
    many = b"".join(struct.pack("<HH2sH", 2, number, b"UI", 0) for number in numbers)

    for meta in (element, many):
        assert store(service, bytes(128) + b"DICM" + meta, step=4096) == status.UNDECODABLE


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=400), st.integers(0, 1), st.integers(1, 99))
def test_garbage_is_refused_and_leaves_nothing(
    service: StorageService, garbage: bytes, magic: int, step: int
) -> None:
    content = (bytes(128) + b"DICM") * magic + garbage

    assert store(service, content, step=step) != 0
    assert spool_of(service) == []


def body_of(*files: bytes, boundary: bytes = b"b") -> bytes:
    head = b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(head + one + b"\r\n" for one in files) + b"--" + boundary + b"--\r\n"


@pytest.mark.parametrize("step", [7, 100_000])
def test_each_part_of_a_message_is_a_file(
    step: int, service: StorageService, tmp_path: Path
) -> None:
    body = body_of(*(file_of(ct_instance(), tmp_path) for _ in range(3)))
    files = Part10Writer(service, sender=service.associations, source="STOW-RS")
    parts = MultipartReader(b"b", lambda headers: files)

    for start in range(0, len(body), step):
        parts.write(body[start : start + step])
    parts.finish()

    assert [one.refusal for one in files.outcomes] == [None] * 3
    assert len(spool_of(service)) == 3


def test_a_message_that_breaks_off_keeps_the_parts_that_had_ended(
    service: StorageService, tmp_path: Path
) -> None:
    body = body_of(*(file_of(ct_instance(), tmp_path) for _ in range(2)))
    files = Part10Writer(service, sender=service.associations, source="STOW-RS")
    parts = MultipartReader(b"b", lambda headers: files)

    parts.write(body[:-20])
    with pytest.raises(BadMultipart):
        parts.finish()
    parts.discard()

    assert len(files.outcomes) == 1
    assert len(spool_of(service)) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"--c\r\n\r\nx\r\n--c--",  # another boundary
        b"--b\r\n" + b"A: b\r\n" * 10_000 + b"\r\n",
        b"--b\r\nA: " + b"b" * 10_000_000,
        b"--b\r\nA\0: b\r\n\r\n",
    ],
)
def test_a_broken_message_is_rejected(body: bytes) -> None:
    def read_all() -> None:
        parts = MultipartReader(b"b", lambda headers: pytest.fail("no part begins"))
        parts.write(body)
        parts.finish()

    with pytest.raises(BadMultipart):
        read_all()


@pytest.mark.parametrize("boundary", [b"", b"x" * 1000])
def test_a_boundary_that_is_none(boundary: bytes) -> None:
    with pytest.raises(BadMultipart):
        MultipartReader(boundary, lambda headers: pytest.fail("no part begins"))


def test_the_content_type_is_read() -> None:
    assert boundary_of('multipart/related; type="application/dicom"; boundary=--x--') == (
        "multipart/related", "application/dicom", b"--x--"
    )  # fmt: skip
    assert boundary_of("") == ("", "", b"")
