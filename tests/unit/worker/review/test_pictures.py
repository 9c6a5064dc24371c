"""Pictures come from the results folder of a checked series, and nothing else."""

from pathlib import Path
from shutil import copyfile

import pytest

from tests.review_record import PICTURE
from worker.review.pictures import picture_path, thumbnail_uri


@pytest.mark.parametrize("uid", ["..", "../..", "1.2/../3", "", "1.2\x00"])
def test_what_is_no_uid_is_no_path(uid: str, tmp_path: Path) -> None:
    assert picture_path(tmp_path, uid, "1.2", 1) is None
    assert picture_path(tmp_path, "1.2", uid, 1) is None


def test_a_thumbnail_is_small_and_made_anew_when_the_picture_changes(tmp_path: Path) -> None:
    folder = tmp_path / "results/1.2/1.2.3/r1"
    folder.mkdir(parents=True)
    copyfile(PICTURE, folder / "sc.png")

    path = picture_path(tmp_path, "1.2", "1.2.3", 1)

    assert path == folder / "sc.png"
    uri = thumbnail_uri(path)
    assert uri is not None
    assert uri.startswith("data:image/jpeg;base64,")
    assert len(uri) < 8000
    (folder / "sc.png").write_bytes(b"not a picture")
    assert thumbnail_uri(path) is None
    (folder / "sc.png").unlink()
    assert picture_path(tmp_path, "1.2", "1.2.3", 1) is None
    assert thumbnail_uri(path) is None
