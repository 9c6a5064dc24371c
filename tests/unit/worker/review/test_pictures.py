"""Pictures are read only from the results folder of a series with valid UIDs."""

from pathlib import Path
from shutil import copyfile

import pytest

from db.models import Series
from tests.support.review_record import PICTURE
from worker.review.pictures import picture_path, thumbnail_uri


def series(study: str, series: str) -> Series:
    return Series(study_instance_uid=study, series_instance_uid=series)


@pytest.mark.parametrize("uid", ["..", "../..", "1.2/../3", "", "1.2\x00"])
def test_an_invalid_uid_has_no_picture(uid: str, tmp_path: Path) -> None:
    assert picture_path(tmp_path, series(uid, "1.2"), 1) is None
    assert picture_path(tmp_path, series("1.2", uid), 1) is None


def test_a_thumbnail_is_small_and_follows_the_picture(tmp_path: Path) -> None:
    folder = tmp_path / "results/1.2/1.2.3/r1"
    folder.mkdir(parents=True)
    copyfile(PICTURE, folder / "sc.png")

    path = picture_path(tmp_path, series("1.2", "1.2.3"), 1)

    assert path == folder / "sc.png"
    uri = thumbnail_uri(path)
    assert uri is not None
    assert uri.startswith("data:image/jpeg;base64,")
    assert len(uri) < 8000
    (folder / "sc.png").write_bytes(b"not a picture")
    assert thumbnail_uri(path) is None
    (folder / "sc.png").unlink()
    assert picture_path(tmp_path, series("1.2", "1.2.3"), 1) is None
    assert thumbnail_uri(path) is None
