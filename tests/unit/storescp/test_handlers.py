"""Covered: every status of one C-STORE, on a real spool. Associations: tests/integration."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from db import spool
from db.spool import SeriesKey, SpoolWriter
from storescp import status
from storescp.handlers import StoreRequest, store
from storescp.settings import StoreScpSettings
from storescp.status import MAX_COMMENT, Refusal
from tests.ct_factory import ct_instance, encode


@pytest.fixture
def writer(tmp_path: Path) -> SpoolWriter:
    writer = SpoolWriter(tmp_path / "spool")
    writer.prepare()
    return writer


def settings(**values: Any) -> StoreScpSettings:
    return StoreScpSettings(_env_file=None, **{"min_free_mb": 0, **values})


def request_of(ds: Dataset, **values: Any) -> StoreRequest:
    request = StoreRequest(
        encoded=encode(ds),
        sop_class_uid=CTImageStorage,
        sop_instance_uid=str(ds.get("SOPInstanceUID", "1.2.3")),
        abstract_syntax=CTImageStorage,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        calling_ae_title="CT_01",
    )
    return replace(request, **values)


def refused(request: StoreRequest, writer: SpoolWriter, **values: Any) -> Refusal:
    """The refusal of a request; nothing of it is in the spool."""
    before = files(writer)
    with pytest.raises(Refusal) as refusal:
        store(request, writer, settings(**values))
    assert files(writer) == before
    assert len(refusal.value.to_data_set().ErrorComment) <= MAX_COMMENT
    return refusal.value


def files(writer: SpoolWriter) -> list[Path]:
    return sorted(path for path in writer.spool_dir.rglob("*") if path.is_file())


def test_the_data_set_is_stored_byte_for_byte_under_its_uids(writer: SpoolWriter) -> None:
    ds = ct_instance()
    request = request_of(ds)

    stored = store(request, writer, settings())

    [path] = files(writer)
    assert stored.key == SeriesKey(ds.StudyInstanceUID, ds.SeriesInstanceUID)
    assert stored.changed
    assert path == spool.instance_path(writer.spool_dir, stored.key, ds.SOPInstanceUID)
    assert path.read_bytes().endswith(request.encoded)
    assert dcmread(path).PixelData == ds.PixelData


def test_the_same_bytes_again_are_stored_once(writer: SpoolWriter) -> None:
    request = request_of(ct_instance())
    store(request, writer, settings())
    [path] = files(writer)
    inode = path.stat().st_ino

    again = store(replace(request, calling_ae_title="OTHER"), writer, settings())

    assert not again.changed
    assert [(p, p.stat().st_ino) for p in files(writer)] == [(path, inode)]


def test_other_bytes_under_the_same_uid_replace_the_former(writer: SpoolWriter) -> None:
    ds = ct_instance()
    store(request_of(ds), writer, settings())
    ds.KVP = "140"

    again = store(request_of(ds), writer, settings())

    [path] = files(writer)
    assert again.changed
    assert dcmread(path).KVP == 140


@pytest.mark.parametrize("cut", [1, 100, 600])
def test_a_truncated_data_set_is_undecodable(cut: int, writer: SpoolWriter) -> None:
    request = request_of(ct_instance())

    refusal = refused(replace(request, encoded=request.encoded[:-cut]), writer)

    assert refusal.status == status.UNDECODABLE == 0xC000


@pytest.mark.parametrize(
    "keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
)
def test_a_missing_uid_is_invalid(keyword: str, writer: SpoolWriter) -> None:
    refusal = refused(request_of(ct_instance(**{keyword: None})), writer)

    assert refusal.status == status.INVALID_UID == 0xC010
    assert "is missing" in refusal.comment


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize(
    "value", [b"../../../../etc", b"/etc/passwd0", b"1.2.3/../../", b"..", b"1." * 33]
)
def test_uids_with_path_characters_never_touch_a_path(
    keyword: str, value: bytes, writer: SpoolWriter
) -> None:
    ds = ct_instance(**{keyword: "1." + "7" * 62})
    uid = b"1." + b"7" * 62
    value = value + b"\0" * (len(value) % 2)
    encoded = encode(ds)
    header = encoded.index(uid) - 2
    hostile = (
        encoded[:header]
        + len(value).to_bytes(2, "little")
        + value
        + encoded[header + 2 + len(uid) :]
    )

    refusal = refused(replace(request_of(ds), encoded=hostile), writer)

    assert refusal.status == status.INVALID_UID


def test_a_sop_instance_uid_other_than_the_command_s_does_not_match(
    writer: SpoolWriter,
) -> None:
    refusal = refused(request_of(ct_instance(), sop_instance_uid="1.2.3"), writer)

    assert refusal.status == status.DATA_SET_DOES_NOT_MATCH == 0xA900


@pytest.mark.parametrize("where", ["data set", "command", "context"])
def test_a_sop_class_that_differs_anywhere_does_not_match(
    where: str, writer: SpoolWriter
) -> None:
    request = request_of(ct_instance())
    if where == "data set":
        request = request_of(ct_instance(SOPClassUID=MRImageStorage))
    if where == "command":
        request = replace(request, sop_class_uid=MRImageStorage)
    if where == "context":
        request = replace(request, abstract_syntax=MRImageStorage)

    assert refused(request, writer).status == status.DATA_SET_DOES_NOT_MATCH


def test_an_instance_over_the_limit_is_refused(writer: SpoolWriter) -> None:
    request = request_of(ct_instance(size=800))

    refusal = refused(request, writer, max_instance_mb=1)

    assert (refusal.status, refusal.comment) == (
        status.OUT_OF_RESOURCES,
        "instance is larger than 1 MB",
    )


def test_too_little_disk_space_is_refused(writer: SpoolWriter) -> None:
    refusal = refused(request_of(ct_instance()), writer, min_free_mb=10**9)

    assert refusal.status == status.OUT_OF_RESOURCES == 0xA700


def test_a_disk_that_fails_is_out_of_resources(
    writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(request_of(ct_instance()), writer, settings())

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    refusal = refused(request_of(ct_instance()), writer)

    assert (refusal.status, refusal.comment) == (
        status.OUT_OF_RESOURCES,
        "spool: Input/output error",
    )
