"""Covered: the encoding of a data set by its first element.

Not covered: files under a wrong label (worker/pipeline/decoding/test_header).
"""

import zlib

import pytest

from common.dicom.encoding import BIG_ENDIAN, EXPLICIT, IMPLICIT, detect_encoding


@pytest.mark.parametrize(
    ("first", "encoding"),
    [
        (b"\x08\0\x05\0CS\x0a\0", EXPLICIT),
        (b"\x08\0\x05\0\x0a\0\0\0", IMPLICIT),
        (b"\0\x08\0\x05CS\0\x0a", BIG_ENDIAN),
        (b"\x08\0\x06\0\xff\xff\xff\xff", IMPLICIT),
        (b"\x08\0\x05\0", None),
        (b"", None),
        (b"\x08\0\x05\0QQQQ", None),
        (zlib.compress(b"\x08\0\x05\0CS\x0a\0" * 9)[2:10], None),
    ],
)
def test_encoding_is_that_of_the_first_element(first: bytes, encoding: object) -> None:
    assert detect_encoding(first) == encoding
