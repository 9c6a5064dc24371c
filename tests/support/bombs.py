"""Inputs of some kilobytes that would cost gigabytes or minutes, and the memory they took."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)
from pynetdicom import AE

from common.dicom.limits import MEGABYTE
from tests.support.compressed import encapsulated, jpeg_2000
from tests.support.ct_factory import ct_instance, ct_series, encode
from tests.support.encoded import deflate
from tests.support.storage_scp import send_bytes

INFLATED_MEGABYTES = 200
MAX_INTAKE_MEGABYTES, MAX_WORKER_MEGABYTES = 400, 2048
TINY = struct.pack("<HH2sH", 0x7FD1, 0x1010, b"LO", 0)


def with_private(ds: Dataset, megabytes: int) -> bytes:
    encoded = encode(ds)
    content = bytes(megabytes * MEGABYTE)
    return encoded + struct.pack("<HH2sHL", 0x7FF1, 0x1010, b"OB", 0, len(content)) + content


def empty_frames(ds: Dataset, count: int) -> bytes:
    ds.SOPClassUID = EnhancedCTImageStorage
    ds.NumberOfFrames = count
    del ds.PixelData
    frames = struct.pack("<HHL", 0xFFFE, 0xE000, 0) * count
    return encode(ds) + struct.pack("<HH2sHL", 0x5200, 0x9230, b"SQ", 0, len(frames)) + frames


def long_name(ds: Dataset) -> bytes:
    value = b"N" * 10_000_000
    encoded = encode(ds, ImplicitVRLittleEndian)
    at = encoded.index(struct.pack("<HH", 0x0010, 0x0010))
    (length,) = struct.unpack_from("<L", encoded, at + 4)
    name = struct.pack("<HHL", 0x0010, 0x0010, len(value)) + value
    return encoded[:at] + name + encoded[at + 8 + length :]


REFUSED: dict[str, tuple[str, Callable[[Dataset], bytes]]] = {
    "zeros": (
        DeflatedExplicitVRLittleEndian,
        lambda ds: deflate(with_private(ds, INFLATED_MEGABYTES)),
    ),
    "tiny elements": (
        DeflatedExplicitVRLittleEndian,
        lambda ds: deflate(encode(ds) + TINY * (INFLATED_MEGABYTES * MEGABYTE // len(TINY))),
    ),
    "100,000 elements": (ExplicitVRLittleEndian, lambda ds: encode(ds) + TINY * 100_000),
    "empty frames": (ExplicitVRLittleEndian, lambda ds: empty_frames(ds, 100_000)),
    "a long name": (ImplicitVRLittleEndian, long_name),
}


def made(kind: str) -> tuple[Dataset, str, bytes]:
    """Return an instance that the reception must refuse, its transfer syntax and bytes."""
    syntax, make = REFUSED[kind]
    ds = ct_instance()
    return ds, syntax, make(ds)


def jpeg_2000_series(stated: int, encoded: int) -> list[Dataset]:
    """Return 12 slices of about 100 bytes that decode to ``encoded`` × ``encoded`` pixels.

    ``stated`` : rows and columns in the header.
    """
    codestream = jpeg_2000(np.zeros((encoded, encoded), np.int16))
    return [
        encapsulated(ds, [codestream])
        for ds in ct_series(12, Rows=stated, Columns=stated, PixelSpacing=[0.2, 0.2])
    ]


def accepted_series() -> dict[str, list[tuple[Dataset, str, bytes]]]:
    """Return series that the reception cannot refuse: their headers are those of a CT."""
    frames = ct_instance()
    encoded = empty_frames(frames, 4_000)
    return {
        "12 JPEG 2000 slices of 2048²": encoded_slices(jpeg_2000_series(2048, 2048)),
        "12 JPEG 2000 slices of 8192² said to be 512²": encoded_slices(
            jpeg_2000_series(512, 8192)
        ),
        "4,000 empty frames": [(frames, ExplicitVRLittleEndian, encoded)],
    }


def encoded_slices(series: list[Dataset]) -> list[tuple[Dataset, str, bytes]]:
    return [(ds, JPEG2000Lossless, encode(ds)) for ds in series]


def send(ds: Dataset, syntax: str, encoded: bytes, port: int) -> Dataset:
    ae = AE("MODALITY")
    ae.add_requested_context(ds.SOPClassUID, syntax)
    assoc = ae.associate("127.0.0.1", port, ae_title="OSTEOSCREEN")
    assert assoc.is_established
    answer = send_bytes(
        assoc, encoded, sop_instance_uid=ds.SOPInstanceUID, sop_class_uid=ds.SOPClassUID
    )
    assoc.release()
    return answer


def peak_megabytes(pid: int) -> dict[int, int]:
    """Return the largest resident memory of a process and of each running child so far."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    peaks = {}
    for one in (pid, *map(int, children)):
        try:
            status = Path(f"/proc/{one}/status").read_text()
        except FileNotFoundError:  # has ended: a delivery runs in a child of its own
            continue
        if "VmHWM:" in status:  # not of a child that has ended and is not yet reaped
            peaks[one] = int(status.split("VmHWM:")[1].split()[0]) // 1024
    return peaks
