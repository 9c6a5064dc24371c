"""Covered: every status of one C-STORE, on a real spool, with the data set in small parts.

Not covered: associations (tests/integration).
"""

import errno
import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from common.dicomnet import status
from common.settings.storescp import MEGABYTE, StoreScpSettings
from common.spool import layout as spool
from common.spool.held import held_path
from common.spool.layout import SeriesKey
from common.spool.part10 import read_header
from common.spool.writer import SpoolWriter
from storescp.store.instance_writer import InstanceWriter, Stored, StoreRequest
from storescp.store.refusal import MAX_COMMENT, Refusal
from tests.support.ct_factory import ct_instance, encode


@pytest.fixture
def writer(tmp_path: Path) -> SpoolWriter:
    writer = SpoolWriter(tmp_path / "spool")
    writer.prepare()
    return writer


PART_BYTES = 100


def settings(**values: Any) -> StoreScpSettings:
    return StoreScpSettings(_env_file=None, **{"min_free_mb": 0, **values})


@dataclass(frozen=True)
class Sent:
    """A command and its data set."""

    request: StoreRequest
    encoded: bytes


def sent(ds: Dataset, **values: Any) -> Sent:
    """A valid C-STORE. ``values`` replace fields of the command or the context."""
    request = StoreRequest(
        sop_class_uid=CTImageStorage,
        sop_instance_uid=str(ds.get("SOPInstanceUID", "1.2.3")),
        abstract_syntax=CTImageStorage,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        calling_ae_title="CT_01",
    )
    return Sent(replace(request, **values), encode(ds))


def store(one: Sent, writer: SpoolWriter, **values: Any) -> Stored:
    """Write a data set in small parts."""
    instance = InstanceWriter(one.request, writer, settings(**values))
    for start in range(0, len(one.encoded), PART_BYTES):
        instance.write(memoryview(one.encoded)[start : start + PART_BYTES])
    return instance.finish()


def refused(one: Sent, writer: SpoolWriter, **values: Any) -> Refusal:
    """Return the refusal of an instance; check that it left no file."""
    before = files(writer)
    with pytest.raises(Refusal) as refusal:
        store(one, writer, **values)
    assert files(writer) == before
    assert len(refusal.value.to_data_set().ErrorComment) <= MAX_COMMENT
    return refusal.value


def files(writer: SpoolWriter) -> list[Path]:
    return sorted(path for path in writer.spool_dir.rglob("*") if path.is_file())


def test_the_data_set_is_stored_byte_for_byte_under_its_uids(writer: SpoolWriter) -> None:
    ds = ct_instance()
    one = sent(ds)

    stored = store(one, writer)

    [path] = files(writer)
    assert stored.key == SeriesKey(ds.StudyInstanceUID, ds.SeriesInstanceUID)
    assert stored.changed
    assert path == spool.instance_path(writer.spool_dir, stored.key, ds.SOPInstanceUID)
    assert path.read_bytes().endswith(one.encoded)
    assert dcmread(path).PixelData == ds.PixelData


def test_the_same_bytes_again_are_stored_once(writer: SpoolWriter) -> None:
    ds = ct_instance()
    store(sent(ds), writer)
    [path] = files(writer)
    inode = path.stat().st_ino

    again = store(sent(ds, calling_ae_title="OTHER"), writer)

    assert not again.changed
    assert [(p, p.stat().st_ino) for p in files(writer)] == [(path, inode)]


def test_other_bytes_under_the_same_uid_replace_the_former(writer: SpoolWriter) -> None:
    ds = ct_instance()
    store(sent(ds), writer)
    ds.KVP = "140"

    again = store(sent(ds), writer)

    [path] = files(writer)
    assert again.changed
    assert dcmread(path).KVP == 140


@pytest.mark.parametrize("address", ["10.0.0.2", "2001:db8::2"])
def test_other_bytes_of_another_sender_are_held(address: str, writer: SpoolWriter) -> None:
    ds = ct_instance()
    store(sent(ds, source_address="10.0.0.1"), writer)
    [first] = files(writer)
    ds.KVP = "140"
    other = sent(ds, source_address=address)

    held = store(other, writer)
    again = store(other, writer)

    assert held == again == Stored(held.key, ds.SOPInstanceUID, changed=False, held=True)
    digest = hashlib.sha256(other.encoded).hexdigest()
    path = held_path(writer.spool_dir, held.key, digest)
    assert files(writer) == sorted([first, path])
    assert dcmread(first).KVP == 120
    meta = read_header(path)
    assert (meta.calling_ae_title, meta.source_address) == ("CT_01", address)
    assert meta.sop_instance_uid == ds.SOPInstanceUID


def test_an_instance_that_fills_a_gap_replaces_nothing(writer: SpoolWriter) -> None:
    ds = ct_instance()
    store(sent(ds), writer)
    ds.KVP = "140"

    fetched = store(sent(ds, calling_ae_title="WADO-RS", fills_gaps=True), writer)

    [path] = files(writer)
    assert not fetched.changed
    assert dcmread(path).KVP == 120


@pytest.mark.parametrize("cut", [1, 100, 600])
def test_a_truncated_data_set_is_undecodable(cut: int, writer: SpoolWriter) -> None:
    one = sent(ct_instance())

    refusal = refused(replace(one, encoded=one.encoded[:-cut]), writer)

    assert refusal.status == status.UNDECODABLE == 0xC000


@pytest.mark.parametrize(
    "keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
)
def test_a_missing_uid_is_invalid(keyword: str, writer: SpoolWriter) -> None:
    refusal = refused(sent(ct_instance(**{keyword: None})), writer)

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

    refusal = refused(replace(sent(ds), encoded=hostile), writer)

    assert refusal.status == status.INVALID_UID


def test_a_sop_instance_uid_other_than_the_command_s_does_not_match(
    writer: SpoolWriter,
) -> None:
    refusal = refused(sent(ct_instance(), sop_instance_uid="1.2.3"), writer)

    assert refusal.status == status.DATA_SET_DOES_NOT_MATCH == 0xA900


@pytest.mark.parametrize("where", ["data set", "command", "context"])
def test_a_sop_class_that_differs_anywhere_does_not_match(
    where: str, writer: SpoolWriter
) -> None:
    one = sent(ct_instance())
    if where == "data set":
        one = sent(ct_instance(SOPClassUID=MRImageStorage))
    if where == "command":
        one = sent(ct_instance(), sop_class_uid=MRImageStorage)
    if where == "context":
        one = sent(ct_instance(), abstract_syntax=MRImageStorage)

    assert refused(one, writer).status == status.DATA_SET_DOES_NOT_MATCH


@pytest.mark.parametrize("uid", ["", "../../x", "1." * 33])
def test_a_command_without_a_uid_is_invalid(uid: str, writer: SpoolWriter) -> None:
    refusal = refused(sent(ct_instance(), sop_instance_uid=uid), writer)

    assert refusal.status == status.INVALID_UID


def test_an_instance_without_a_data_set_is_invalid(writer: SpoolWriter) -> None:
    assert refused(replace(sent(ct_instance()), encoded=b""), writer).status == (
        status.INVALID_UID
    )


def test_an_instance_over_the_limit_is_refused(writer: SpoolWriter) -> None:
    one = sent(ct_instance(size=800))

    refusal = refused(one, writer, max_instance_mb=1)

    assert (refusal.status, refusal.comment) == (
        status.OUT_OF_RESOURCES,
        "instance is larger than 1 MB",
    )


def test_too_little_disk_space_is_refused(writer: SpoolWriter) -> None:
    refusal = refused(sent(ct_instance()), writer, min_free_mb=10**9)

    assert refusal.status == status.OUT_OF_RESOURCES == 0xA700


def test_a_disk_that_fails_is_out_of_resources(
    writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(sent(ct_instance()), writer)

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    refusal = refused(sent(ct_instance()), writer)

    assert (refusal.status, refusal.comment) == (
        status.OUT_OF_RESOURCES,
        "spool: Input/output error",
    )


def test_too_large_is_noticed_while_it_comes_and_leaves_nothing(writer: SpoolWriter) -> None:
    instance = InstanceWriter(sent(ct_instance()).request, writer, settings(max_instance_mb=1))

    instance.write(bytes(MEGABYTE))
    assert len(files(writer)) == 1
    instance.write(b"x")

    assert files(writer) == []
    instance.write(bytes(MEGABYTE))
    with pytest.raises(Refusal, match="larger than 1 MB"):
        instance.finish()


def test_what_is_discarded_leaves_nothing(writer: SpoolWriter) -> None:
    instance = InstanceWriter(sent(ct_instance()).request, writer, settings())
    instance.write(b"half")

    instance.discard()

    assert files(writer) == []
    with pytest.raises(Refusal):
        instance.finish()


def test_a_disk_that_fills_up_while_it_comes_is_out_of_resources(
    writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = sent(ct_instance())
    instance = InstanceWriter(one.request, writer, settings())

    def full(_: int, __: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", full)
        instance.write(one.encoded)

    assert files(writer) == []
    with pytest.raises(Refusal, match="No space left") as refusal:
        instance.finish()
    assert refusal.value.status == status.OUT_OF_RESOURCES


def test_only_what_comes_first_is_the_front(writer: SpoolWriter) -> None:
    one = sent(ct_instance())
    garbage = b"\xff" * 10
    cut = one.encoded[: -len(garbage)]  # its last element ends where all of it ends
    instance = InstanceWriter(one.request, writer, settings())

    instance.write(b"", garbage)
    instance.write(cut)

    with pytest.raises(Refusal) as refused:
        instance.finish()
    assert refused.value.status == status.UNDECODABLE
    assert not list(writer.spool_dir.glob("*/*/*"))


def test_a_data_set_in_large_parts_is_stored(writer: SpoolWriter) -> None:
    one = sent(ct_instance(size=64))
    instance = InstanceWriter(one.request, writer, settings())

    instance.write(memoryview(one.encoded)[:4000], memoryview(one.encoded)[4000:])

    assert instance.finish().changed
