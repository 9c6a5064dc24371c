"""Bodies of STOW-RS requests."""

from collections.abc import Iterable

FILE_TYPE = 'multipart/related; type="application/dicom"; boundary=b'


def body_of(files: Iterable[bytes]) -> bytes:
    """Return a multipart body of DICOM files with the boundary of ``FILE_TYPE``."""
    head = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(head + one + b"\r\n" for one in files) + b"--b--\r\n"
