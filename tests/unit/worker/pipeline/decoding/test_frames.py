"""Covered: offset tables, fragments, sizes in codestreams, HTJ2K, damaged frames.
Not covered: valid offset tables (test_frame_pixels), headers of codecs (test_codestream)."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    HTJ2K,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    RLELossless,
)

from tests.support import enhanced_ct
from tests.support.compressed import ENCODERS, item, jpeg_2000, set_frames
from tests.support.ct_volume import load_series, write_ct
from worker.pipeline import limits, load
from worker.pipeline.decoding.native_stderr import captured_stderr, forward
from worker.pipeline.results import Rejected

HU = np.random.default_rng(3).integers(-900, 1000, (10, 32, 40)).astype(np.int16)
# Encoded by OpenJPH 0.26.3 from 1000 + 7 x + 13 y + (x y mod 17).
HTJ2K_FRAME = Path(__file__).with_name("htj2k_32x40.j2c").read_bytes()


def write(folder: Path, encode: object, tables: dict[str, bytes] | None = None) -> list[Path]:
    """Write a series whose pixel data are the items that ``encode(index)`` returns."""

    def change(index: int, ds: Dataset) -> None:
        set_frames(ds, JPEG2000Lossless, [b"\0\0"])
        ds.PixelData = encode(index)  # type: ignore[operator]
        ds["PixelData"].is_undefined_length = True
        for keyword, value in (tables or {}).items():
            setattr(ds, keyword, value)

    return write_ct(folder, HU, change=change)


def frame(index: int) -> bytes:
    encoded = jpeg_2000(HU[index] + 1024)
    return encoded + b"\0" * (len(encoded) % 2)


def test_one_frame_is_decoded_whatever_its_offset_table_says(tmp_path: Path) -> None:
    wrong = struct.pack("<2I", 0xFFFFFFFF, 12)
    extended = {
        "ExtendedOffsetTable": struct.pack("<Q", 999999),
        "ExtendedOffsetTableLengths": struct.pack("<Q", 3),
    }

    def fragments(index: int) -> bytes:
        encoded = frame(index)
        return item(wrong) + item(encoded[:100]) + item(b"") + item(encoded[100:])

    for name, tables in {"basic": None, "extended": extended}.items():
        paths = write(tmp_path / name, fragments, tables)
        np.testing.assert_array_equal(load_series(paths)[1].hu, HU)


def multi_frame(
    folder: Path, table: bytes, split: bool, count: int | None = None
) -> list[Path]:
    """Write one Enhanced CT, with a table and each frame in one or two fragments."""
    images = [dcmread(path) for path in write_ct(folder / "single", HU)]
    path = enhanced_ct.write_enhanced(images, folder)[0]
    ds = dcmread(path)
    data = item(table)
    for index in range(len(HU) if count is None else count):
        encoded = frame(index)
        data += item(encoded[:100]) + item(encoded[100:]) if split else item(encoded)
    set_frames(ds, JPEG2000Lossless, [b"\0\0"])
    ds.PixelData = data
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path)
    return [path]


@pytest.mark.parametrize(
    "table", [b"", struct.pack("<10I", *range(10)), struct.pack("<3I", 0, 8, 9), b"\0" * 40]
)
@pytest.mark.parametrize("split", [False, True])
def test_frames_are_told_apart_without_a_usable_table(
    tmp_path: Path, table: bytes, split: bool
) -> None:
    np.testing.assert_array_equal(load_series(multi_frame(tmp_path, table, split))[1].hu, HU)


@pytest.mark.parametrize(("split", "fragments"), [(False, 9), (True, 18)])
def test_frames_that_cannot_be_told_apart_are_a_reason(
    tmp_path: Path, split: bool, fragments: int
) -> None:
    rejected = load.read_volume(load.read_series(multi_frame(tmp_path, b"", split, 9)))  # type: ignore[arg-type]

    assert isinstance(rejected, Rejected)
    assert f"{fragments} fragments of 10 frames" in rejected.reason.text


def test_fragments_are_limited(tmp_path: Path) -> None:
    many = item(b"") + item(b"\0\0") * (limits.MAX_FRAGMENTS + 1)

    assert "over 1024 fragments" in reason(write(tmp_path, lambda _: many))


def reason(paths: list[Path]) -> str:
    series, volume = load.read_series(paths), None
    if not isinstance(series, Rejected):
        volume = load.read_volume(series)
    assert isinstance(volume, Rejected)
    assert volume.reason.code == "UNDECODABLE"
    return volume.reason.text


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K, JPEG2000Lossless])
def test_htj2k_is_decoded(tmp_path: Path, syntax: str) -> None:
    y, x = np.indices((32, 40))

    paths = write_ct(tmp_path, HU, change=lambda _, ds: set_frames(ds, syntax, [HTJ2K_FRAME]))

    expected = 1000 + 7 * x + 13 * y + x * y % 17 - 1024
    np.testing.assert_array_equal(load_series(paths)[1].hu[3], expected)


@pytest.mark.parametrize("codec", ENCODERS)
def test_sizes_in_codestreams_are_compared_before_they_are_decoded(
    tmp_path: Path, codec: str
) -> None:
    syntax, encode = ENCODERS[codec]
    larger = encode(np.zeros((200, 300), np.uint16), tmp_path)

    text = reason(
        write_ct(tmp_path / "series", HU, change=lambda _, ds: set_frames(ds, syntax, [larger]))
    )

    if codec == "rle":  # the codec states no size
        assert text == "Slice 1 of 10: An RLE segment has over 1280 bytes, 1280 are needed."
    else:
        assert "have 200 × 300 pixels, the header says 32 × 40." in text


def test_encoded_bytes_of_a_frame_are_limited(tmp_path: Path) -> None:
    size = limits.ENCODED_SLACK_BYTES + 4 * 2560 + 2

    text = reason(write(tmp_path, lambda _: item(b"") + item(bytes(size))))

    assert text.endswith(f"A compressed frame has {size} bytes, at most 75776 are read.")


@pytest.mark.parametrize("codec", ENCODERS)
def test_damaged_frames_give_one_plain_sentence_and_no_output(
    tmp_path: Path, codec: str, capfd: pytest.CaptureFixture[str]
) -> None:
    syntax, encode = ENCODERS[codec]
    intact = encode((HU[0] + 1024).view("<u2"), tmp_path)
    start = len(intact) // 3
    damaged = intact[:start] + b"\xff\xff" + b"\0" * (len(intact) - start - 2)
    capfd.readouterr()

    text = reason(
        write_ct(
            tmp_path / "series", HU, change=lambda _, ds: set_frames(ds, syntax, [damaged])
        )
    )

    assert text.startswith("Slice 1 of 10: ")
    assert text.endswith(("are damaged.", "without the end of image.")) or "RLE segment" in text
    assert not {"plugin", "NoneType", "0x"} & set(text.replace(".", " ").split())
    assert capfd.readouterr() == ("", "")


def _ended_early(intact: bytes) -> bytes:
    """Put the end of image in the middle of the data: GDCM returns zeros for the rest."""
    return intact[:1500] + b"\xff\xd9" + intact[1502:]


def _without_huffman_table(intact: bytes) -> bytes:
    start = intact.index(b"\xff\xc4")
    (length,) = struct.unpack_from(">H", intact, start + 2)
    return intact[:start] + intact[start + 2 + length :]


@pytest.mark.skipif("jpeg-lossless" not in ENCODERS, reason="dcmcjpeg is not installed")
@pytest.mark.parametrize("damage", [_ended_early, _without_huffman_table])
def test_damage_that_libjpeg_only_prints_is_a_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], damage: Callable[[bytes], bytes]
) -> None:
    syntax, encode = ENCODERS["jpeg-lossless"]
    damaged = damage(encode((HU[0] + 1024).view("<u2"), tmp_path))
    capfd.readouterr()

    text = reason(
        write_ct(
            tmp_path / "series", HU, change=lambda _, ds: set_frames(ds, syntax, [damaged])
        )
    )

    assert text in (
        "Slice 1 of 10: The JPEG data are damaged.",
        "Slice 1 of 10: The JPEG lossless data are damaged.",
    )
    assert capfd.readouterr() == ("", "")


def test_other_lines_of_the_error_stream_are_passed_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with captured_stderr() as lines:
        os.write(2, b"a line of another thread\n")

    assert lines == [b"a line of another thread"]
    assert capfd.readouterr().err == ""
    forward(lines)
    assert capfd.readouterr().err == "a line of another thread\n"


@pytest.mark.parametrize("change", [b"\x7f", b"\x81", b"\x80" * 9])
def test_rle_that_ends_early_or_late_is_a_reason(tmp_path: Path, change: bytes) -> None:
    """The plug-in for RLE ends the program for some of these."""
    header = struct.pack("<16I", 2, 64, 64 + len(change), *[0] * 13)

    text = reason(
        write_ct(
            tmp_path,
            HU,
            change=lambda _, ds: set_frames(ds, RLELossless, [header + change + change]),
        )
    )

    assert "An RLE segment has 0 bytes, 1280 are needed." in text or "damaged" in text


@pytest.mark.parametrize(("extra", "read"), [(2, True), (78, True), (80, False), (-2, False)])
def test_pixel_data_of_another_size_than_the_header_says_are_a_reason(
    tmp_path: Path, extra: int, read: bool
) -> None:
    """Less than a row more is padding."""

    def change(_: int, ds: Dataset) -> None:
        ds.PixelData = (ds.PixelData + bytes(80))[: 2560 + extra]

    paths = write_ct(tmp_path, HU, change=change)

    if read:
        np.testing.assert_array_equal(load_series(paths)[1].hu, HU)
    else:
        text = f"Slice 1 of 10: There are {2560 + extra} bytes of pixel data, 2560 are needed."
        assert reason(paths) == text
