"""Covered: the server on real associations, with pynetdicom and dcmtk as requestors: contexts,
statuses, and bytes as sent, each with ``StreamingDUL`` and with pynetdicom alone.
The server runs in a thread, without a database.

Not covered: registration (test_storescp.py); rejections (test_storage_server_rejections.py);
hostile PDUs (test_storage_server_pdus.py).
"""

import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    LegacyConvertedEnhancedCTImageStorage,
    MRImageStorage,
    RLELossless,
)

from common.dicomnet import status
from common.spool.layout import SeriesKey
from common.spool.part10 import read_header
from storescp.contexts import TRANSFER_SYNTAXES
from storescp.store.refusal import MAX_COMMENT
from tests.support.compressed import encapsulated
from tests.support.ct_factory import ct_instance, ct_series, encode, write_files
from tests.support.encoded import deflate
from tests.support.servers import (
    DCMTK_ENVIRONMENT,
    child_environment,
    require_tool,
    storescu,
    wait_for,
)
from tests.support.storage_scp import OpenStorageScp, associated, send_bytes

pytestmark = pytest.mark.servers

FRAMES = [b"\xff\xd8" * 50]


def test_echo_by_dcmtk(open_storage_scp: OpenStorageScp) -> None:
    scp = open_storage_scp()
    program = require_tool("echoscu", "dcmtk")

    result = subprocess.run(
        [program, "-aec", "OSTEOSCREEN", "127.0.0.1", str(scp.port)],
        env=child_environment() | DCMTK_ENVIRONMENT,
        timeout=30,
        check=False,
    )

    assert result.returncode == 0


@pytest.mark.covers("R2")
def test_what_dcmtk_sends_is_stored_byte_for_byte(
    open_storage_scp: OpenStorageScp, tmp_path: Path
) -> None:
    scp = open_storage_scp()
    instances = ct_series(12)

    result = storescu(write_files(instances, tmp_path / "in"), scp.port, options=["-R"])

    assert result.returncode == 0, result.stderr
    assert scp.files() == sorted(scp.path_of(ds) for ds in instances)
    for ds in instances:
        path = scp.path_of(ds)
        meta = read_header(path)
        assert meta.calling_ae_title == "MODALITY"
        assert path.read_bytes()[meta.data_set_offset :] == encode(ds)


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_every_transfer_syntax_is_stored_as_it_was_sent(
    syntax: str, open_storage_scp: OpenStorageScp
) -> None:
    scp = open_storage_scp()
    ds = ct_instance()
    if syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian):
        encoded = encode(ds, syntax)
    elif syntax == DeflatedExplicitVRLittleEndian:
        encoded = deflate(encode(ds))
    else:
        encoded = encode(encapsulated(ds, FRAMES))

    with associated(scp, transfer_syntax=syntax) as assoc:
        answer = send_bytes(assoc, encoded, sop_instance_uid=ds.SOPInstanceUID)

    [path] = scp.files()
    meta = read_header(path)
    assert answer.Status == status.SUCCESS
    assert meta.transfer_syntax_uid == syntax
    assert path.read_bytes()[meta.data_set_offset :] == encoded


def test_only_ct_gets_a_presentation_context(open_storage_scp: OpenStorageScp) -> None:
    scp = open_storage_scp()
    ct = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)

    with associated(scp, sop_classes=[*ct, MRImageStorage]) as assoc:
        accepted = {context.abstract_syntax for context in assoc.accepted_contexts}
        rejected = {context.abstract_syntax for context in assoc.rejected_contexts}

    assert accepted == set(ct)
    assert rejected == {MRImageStorage}


def test_mr_is_not_accepted(open_storage_scp: OpenStorageScp, tmp_path: Path) -> None:
    scp = open_storage_scp()
    mr = ct_instance(SOPClassUID=MRImageStorage, Modality="MR")

    result = storescu(write_files([mr], tmp_path / "in"), scp.port, options=["-R"])

    assert result.returncode != 0
    assert scp.files() == []


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("truncated", status.UNDECODABLE),
        ("not a data set", status.UNDECODABLE),
        ("no series UID", status.INVALID_UID),
        ("path in study UID", status.INVALID_UID),
        ("path in SOP UID", status.INVALID_UID),
        ("other SOP UID", status.DATA_SET_DOES_NOT_MATCH),
        ("other SOP class", status.DATA_SET_DOES_NOT_MATCH),
        ("too large", status.OUT_OF_RESOURCES),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
def test_bad_input_gets_its_status_and_comment_and_leaves_nothing(
    case: str, expected: int, open_storage_scp: OpenStorageScp, tmp_path: Path
) -> None:
    scp = open_storage_scp(max_instance_mb=1)
    ds = ct_instance(SOPInstanceUID="1.2.3.4.5.6", StudyInstanceUID="1.2.3.4.5.7")
    encoded, sop_uid = encode(ds), "1.2.3.4.5.6"
    hostile = b"../../../x\0"
    if case == "truncated":
        encoded = encoded[:-50]
    if case == "not a data set":
        encoded = b"GET / HTTP/1.1\r\n\r\n"
    if case == "no series UID":
        encoded = encode(ct_instance(SOPInstanceUID=sop_uid, SeriesInstanceUID=None))
    if case == "path in study UID":
        encoded = encoded.replace(b"1.2.3.4.5.7\0", hostile.ljust(12, b"\0"))
    if case == "path in SOP UID":
        encoded = encoded.replace(b"1.2.3.4.5.6\0", hostile.ljust(12, b"\0"))
        sop_uid = "../../../x"
    if case == "other SOP UID":
        sop_uid = "1.2.3.4.5.8"
    if case == "other SOP class":
        encoded = encode(ct_instance(SOPInstanceUID=sop_uid, SOPClassUID=MRImageStorage))
    if case == "too large":
        encoded = encode(ct_instance(SOPInstanceUID=sop_uid, size=800))

    with associated(scp) as assoc:
        answer = send_bytes(assoc, encoded, sop_instance_uid=sop_uid)
        good = ct_instance()
        after = send_bytes(assoc, encode(good), sop_instance_uid=good.SOPInstanceUID)

    assert answer.Status == expected
    assert 0 < len(answer.ErrorComment) <= MAX_COMMENT
    assert after.Status == status.SUCCESS  # the association continues
    assert scp.files() == [scp.path_of(good)]
    assert [p for p in tmp_path.rglob("x*") if p.name.startswith("x")] == []


def test_a_full_disk_is_out_of_resources_and_leaves_nothing(
    open_storage_scp: OpenStorageScp, tmp_path: Path
) -> None:
    scp = open_storage_scp(min_free_mb=10**9)

    with associated(scp) as assoc:
        ds = ct_instance()
        answer = send_bytes(assoc, encode(ds), sop_instance_uid=ds.SOPInstanceUID)

    assert answer.Status == status.OUT_OF_RESOURCES == 0xA700
    assert "disk space" in answer.ErrorComment
    assert scp.files() == []


def test_the_same_instance_again_is_a_success_and_opens_nothing(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp = open_storage_scp()
    ds = ct_instance()
    key = SeriesKey(ds.StudyInstanceUID, ds.SeriesInstanceUID)
    with associated(scp) as assoc:
        first = send_bytes(assoc, encode(ds), sop_instance_uid=ds.SOPInstanceUID)
        [done] = scp.pending.complete(now=time.monotonic() + 1000, quiet_seconds=1)
        scp.pending.registered(done)
        again = send_bytes(assoc, encode(ds), sop_instance_uid=ds.SOPInstanceUID)
        assert len(scp.pending) == 0
        ds.KVP = "100"
        changed = send_bytes(assoc, encode(ds), sop_instance_uid=ds.SOPInstanceUID)

    assert [answer.Status for answer in (first, again, changed)] == [status.SUCCESS] * 3
    assert [new for new, *_ in scp.pending.newly_opened()] == [key]
    assert len(scp.files()) == 1


def test_the_association_of_a_peer_that_vanishes_is_closed(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp = open_storage_scp(max_associations=1)
    with associated(scp) as assoc:
        ds = ct_instance()
        send_bytes(assoc, encode(ds), sop_instance_uid=ds.SOPInstanceUID)
        connection = assoc.dul.socket.socket
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.shutdown(socket.SHUT_RDWR)

        def is_closed() -> bool:
            scp.server.tick()
            return scp.associations.count() == 0

        wait_for(is_closed, "the end of the association", seconds=20)
        connection.close()
    assert len(scp.files()) == 1


def test_eight_associations_send_one_series_at_once(
    open_storage_scp: OpenStorageScp, tmp_path: Path
) -> None:
    require_tool("storescu", "dcmtk")  # a thread cannot skip its test
    scp = open_storage_scp()
    instances = ct_series(64)
    paths = write_files(instances, tmp_path / "in")
    codes: list[int] = []
    threads = [
        threading.Thread(
            target=lambda part: codes.append(
                storescu(part, scp.port, options=["-R"]).returncode
            ),
            args=(paths[n::8],),
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert codes == [0] * 8
    assert scp.files() == sorted(scp.path_of(ds) for ds in instances)
    for ds in instances:
        path = scp.path_of(ds)
        assert path.read_bytes()[read_header(path).data_set_offset :] == encode(ds)
    [(key, calling, _)] = scp.pending.newly_opened()
    assert (key.series_instance_uid, calling) == (instances[0].SeriesInstanceUID, "MODALITY")


def test_an_enhanced_ct_is_stored(open_storage_scp: OpenStorageScp) -> None:
    scp = open_storage_scp()
    ds = ct_instance(SOPClassUID=EnhancedCTImageStorage)

    with associated(scp, sop_classes=[EnhancedCTImageStorage]) as assoc:
        answer = send_bytes(
            assoc,
            encode(ds),
            sop_instance_uid=ds.SOPInstanceUID,
            sop_class_uid=EnhancedCTImageStorage,
        )

    assert answer.Status == status.SUCCESS
    assert read_header(scp.files()[0]).sop_class_uid == EnhancedCTImageStorage


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_truncated_compressed_pixel_data_is_refused(
    syntax: str, open_storage_scp: OpenStorageScp
) -> None:
    scp = open_storage_scp()
    ds = encapsulated(ct_instance(), FRAMES)

    with associated(scp, transfer_syntax=syntax) as assoc:
        answer = send_bytes(assoc, encode(ds)[:-8], sop_instance_uid=ds.SOPInstanceUID)

    assert answer.Status == status.UNDECODABLE
    assert scp.files() == []
