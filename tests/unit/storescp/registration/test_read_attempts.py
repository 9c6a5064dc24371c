"""Covered: the note of the file that is read, its count over process ends, quarantine.

Not covered: real ends of the process (integration/test_quarantine.py).
"""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from common.spool.layout import SeriesKey
from common.spool.quarantine import list_quarantined
from storescp.registration.read_attempts import ATTEMPTS, MAX_ATTEMPTS, READING, ReadAttempts

KEY = SeriesKey("1.2", "1.2.3")
OTHER = SeriesKey("1.2", "1.2.30")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "1.2" / "1.2.3" / "1.9.dcm"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"DICOM")
    return path


def started(spool_dir: Path) -> ReadAttempts:
    attempts = ReadAttempts(spool_dir)
    attempts.recover()
    return attempts


def killed_while_reading(path: Path, times: int) -> None:
    for _ in range(times):
        started(path.parents[2]).begin(path)


def test_a_file_that_ended_processes_is_moved_to_quarantine(path: Path, tmp_path: Path) -> None:
    killed_while_reading(path, MAX_ATTEMPTS)

    with capture_logs() as lines:
        attempts = started(tmp_path)

    [moved] = list_quarantined(tmp_path)
    assert moved == tmp_path / "quarantine" / "1.2" / "1.2.3" / "1.9.dcm"
    assert moved.read_bytes() == b"DICOM"
    assert not path.exists()
    assert not attempts.is_suspect(KEY)
    [report] = [line for line in lines if line["event"] == "file_quarantined"]
    assert (report["log_level"], report["file"]) == ("error", str(moved))
    assert (list_quarantined(tmp_path, KEY), list_quarantined(tmp_path, OTHER)) == ([moved], [])


def test_fewer_ends_make_a_file_suspect_only(path: Path, tmp_path: Path) -> None:
    killed_while_reading(path, MAX_ATTEMPTS - 1)

    attempts = started(tmp_path)

    assert path.exists()
    assert attempts.is_suspect(KEY)
    assert not attempts.is_suspect(OTHER)


def test_a_file_that_was_read_starts_again_from_zero(path: Path, tmp_path: Path) -> None:
    killed_while_reading(path, MAX_ATTEMPTS - 1)
    attempts = started(tmp_path)
    attempts.begin(path)
    attempts.end(KEY)

    killed_while_reading(path, 1)

    assert started(tmp_path).is_suspect(KEY)
    assert path.exists()


def test_a_process_that_ends_between_two_files_counts_for_none(
    path: Path, tmp_path: Path
) -> None:
    for _ in range(MAX_ATTEMPTS + 1):
        attempts = started(tmp_path)
        attempts.begin(path)
        attempts.end(KEY)

    assert path.exists()
    assert not started(tmp_path).is_suspect(KEY)


@pytest.mark.parametrize("counts", [b"", b"[]", b"{", b'{"x": "y"}'])
@pytest.mark.parametrize("name", [b"1.2/1.2.3/gone.dcm", b"\xff\xfe/../x", b"../../etc/passwd"])
def test_any_content_of_the_notes_is_survived(
    counts: bytes, name: bytes, tmp_path: Path
) -> None:
    folder = tmp_path / "quarantine"
    folder.mkdir()
    for _ in range(MAX_ATTEMPTS + 1):
        (folder / ATTEMPTS).write_bytes(counts)
        (folder / READING).write_bytes(name)
        started(tmp_path)

    assert list_quarantined(tmp_path) == []


def test_without_space_for_notes_files_are_read(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "quarantine").write_bytes(b"not a folder")

    attempts = started(tmp_path)
    attempts.begin(path)
    attempts.end(KEY)

    assert not attempts.is_suspect(KEY)
