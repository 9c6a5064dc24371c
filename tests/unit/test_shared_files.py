"""Covered: folders that the processes of a run share, and copies of them."""

from pathlib import Path

import pytest

from tests.support.shared_files import SHARED, copy_of


def test_folder_is_made_once_and_copies_are_independent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SHARED, str(tmp_path / "shared"))
    made: list[Path] = []

    def make(folder: Path) -> None:
        folder.mkdir()
        (folder / "name").write_text(f"{len(made)}")
        made.append(folder)

    for copy in ("a", "b"):
        copy_of("one", make, tmp_path / copy)
        assert (tmp_path / copy / "name").read_text() == "0"
        (tmp_path / copy / "name").write_text("changed")
    copy_of("two", make, tmp_path / "c")

    assert (tmp_path / "c" / "name").read_text() == "1"
    assert len(made) == 2


def test_interrupted_folder_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SHARED, str(tmp_path / "shared"))

    def fail(folder: Path) -> None:
        folder.mkdir()
        (folder / "half").touch()
        raise OSError

    def make(folder: Path) -> None:
        folder.mkdir()
        (folder / "whole").touch()

    with pytest.raises(OSError):  # noqa: PT011
        copy_of("one", fail, tmp_path / "a")
    copy_of("one", make, tmp_path / "a")

    assert [path.name for path in (tmp_path / "a").iterdir()] == ["whole"]
