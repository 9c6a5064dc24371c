"""Covered: every status of one C-STORE, on a real spool, with the data set in small parts.

Not covered: limits and failing disks (test_instance_writer_limits.py), associations
(tests/integration).
"""

import hashlib
from dataclasses import replace

import pytest
from pydicom import dcmread
from pydicom.uid import MRImageStorage

from common.dicomnet import status
from common.spool import layout as spool
from common.spool.held import held_path
from common.spool.layout import SeriesKey
from common.spool.part10 import read_header
from common.spool.writer import SpoolWriter
from storescp.store.instance_writer import InstanceWriter, Stored
from storescp.store.refusal import Refusal
from tests.support.ct_factory import ct_instance, encode
from tests.support.instance_writing import files, refused, sent, settings, store


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
