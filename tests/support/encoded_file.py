"""DICOM files whose label, elements or encoding are altered byte by byte."""

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

PIXEL_DATA = struct.pack("<HH2sH", 0x7FE0, 0x0010, b"OW", 0)


def data_set(path: Path, syntax: str) -> bytes:
    """Return the data set of a file, encoded in a native transfer syntax."""
    ds = dcmread(path)
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    ds.file_meta.TransferSyntaxUID = syntax
    file = BytesIO()
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    dcmwrite(file, ds, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    content = file.getvalue()
    return content[144 + struct.unpack_from("<I", content, 140)[0] :]


def relabel(path: Path, label: str | None, encoded: bytes, meta: bytes = b"") -> None:
    """Write a data set below a File Meta Information that names a transfer syntax."""
    ds = dcmread(path)
    ds.file_meta.TransferSyntaxUID = label
    if label is None:
        del ds.file_meta.TransferSyntaxUID
    file = BytesIO(b"\0" * 128 + b"DICM")
    file.seek(0, 2)
    write_file_meta_info(file, ds.file_meta, enforce_standard=False)
    path.write_bytes(file.getvalue() + meta + encoded)


def insert(path: Path, elements: bytes) -> None:
    """Insert encoded elements before the pixel data; pydicom reads them in any order."""
    content = path.read_bytes()
    start = content.index(PIXEL_DATA)
    path.write_bytes(content[:start] + elements + content[start:])
