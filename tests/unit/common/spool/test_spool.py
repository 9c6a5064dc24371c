"""Spool: UID check, paths, durable write, listing, removal, leftovers.

Covered: fsync is called, and in the right order. Not covered: a real power failure.
"""

import errno
import fcntl
import os
import stat
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.dicom import uids
from common.dicom.uids import InvalidUid
from common.spool import layout
from common.spool.layout import SeriesKey
from common.spool.writer import SpoolWriter, clean_incoming

KEY = SeriesKey("1.2.3", "1.2.3.4")
SOP = "1.2.3.4.5"
LATER = datetime.now(UTC) + timedelta(days=1)


@pytest.mark.parametrize("uid", ["1", "1.2", "2.25.329800735698586629295641978511506172918"])
def test_uids_are_valid(uid: str) -> None:
    assert uids.is_valid_uid(uid)


def test_leading_zeros_are_accepted() -> None:
    assert uids.is_valid_uid("1.2.840.0113619.02")


@pytest.mark.parametrize(
    "uid",
    [
        "",
        ".",
        "..",
        "1..2",
        ".1",
        "1.",
        "1.2/3",
        "../1",
        "1.2\0",
        "1.2\n",
        "1.2 ",
        "１.２",
        "1.a",
    ],
)
def test_anything_else_is_not_a_uid(uid: str) -> None:
    assert not uids.is_valid_uid(uid)


def test_64_characters_are_the_limit() -> None:
    assert uids.is_valid_uid("1." + "2" * 62)
    assert not uids.is_valid_uid("1." + "2" * 63)


@given(st.text(max_size=70), st.text(max_size=70), st.text(max_size=70))
def test_no_uid_escapes_from_the_spool(study: str, series: str, sop: str) -> None:
    root = Path("/spool")
    try:
        path = layout.instance_path(root, SeriesKey(study, series), sop)
    except InvalidUid:
        return
    assert path == root / study / series / f"{sop}.dcm"
    assert Path(os.path.normpath(path)) == path


def test_a_written_file_has_its_bytes_and_leaves_nothing_in_incoming(
    writer: SpoolWriter,
) -> None:
    path = layout.instance_path(writer.spool_dir, KEY, SOP)

    writer.write(path, (b"head", memoryview(b"body")))

    assert path.read_bytes() == b"headbody"
    assert list((writer.spool_dir / layout.INCOMING).iterdir()) == []


def test_file_and_folders_are_synced_before_the_write_returns(
    writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = writer.spool_dir
    synced: list[tuple[str, bool]] = []
    real_fsync = os.fsync
    path = layout.instance_path(root, KEY, SOP)

    def fsync(descriptor: int) -> None:
        target = os.readlink(f"/proc/self/fd/{descriptor}")
        synced.append((target, path.exists()))
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    writer.write(path, (b"x",))
    first, synced[:] = list(synced), []
    writer.write(layout.instance_path(root, KEY, SOP + ".1"), (b"x",))

    folders = [target for target, _ in first]
    assert str(root) in folders
    assert str(root / KEY.study_instance_uid) in folders
    assert folders[-2].startswith(str(root / layout.INCOMING))
    assert first[-2][1] is False  # the file, before its rename
    assert first[-1] == (str(path.parent), True)  # its folder, after it
    assert len(synced) == 2  # later files cost no fsync of their parents


def test_a_failed_write_leaves_nothing_behind(
    writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = layout.instance_path(writer.spool_dir, KEY, SOP)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            writer.write(path, (b"x",))

    assert [p for p in writer.spool_dir.rglob("*") if p.is_file()] == []


def test_a_second_write_replaces_the_file_whole(writer: SpoolWriter) -> None:
    path = layout.instance_path(writer.spool_dir, KEY, SOP)
    writer.write(path, (b"first, long",))
    with path.open("rb") as reader:
        writer.write(path, (b"second",))

        assert reader.read() == b"first, long"
    assert path.read_bytes() == b"second"


def test_a_folder_that_retention_removed_is_created_again(writer: SpoolWriter) -> None:
    path = layout.instance_path(writer.spool_dir, KEY, SOP)
    writer.write(path, (b"x",))
    layout.remove_series(writer.spool_dir, KEY, before=LATER)

    writer.write(path, (b"y",))

    assert path.read_bytes() == b"y"


def test_an_instance_that_arrives_while_a_series_is_removed_stays(writer: SpoolWriter) -> None:
    old = layout.instance_path(writer.spool_dir, KEY, SOP)
    late = layout.instance_path(writer.spool_dir, KEY, "1.2.3.4.6")
    for path in (old, late):
        writer.write(path, (b"x",))
    os.utime(old, (0, 0))

    layout.remove_series(writer.spool_dir, KEY, before=datetime(2000, 1, 1, tzinfo=UTC))

    assert layout.list_instances(writer.spool_dir, KEY) == (late,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("folder", [".", layout.INCOMING])
def test_a_spool_of_another_user_fails_at_start(folder: str, writer: SpoolWriter) -> None:
    for path in (writer.spool_dir, *list(writer.spool_dir.parents)[:-2]):
        path.chmod(path.stat().st_mode | 0o011)
    writer.spool_dir.chmod(0o777)
    (writer.spool_dir / layout.INCOMING).chmod(0o777)
    (writer.spool_dir / folder).chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(PermissionError):
            SpoolWriter(writer.spool_dir).prepare()
    finally:
        os.seteuid(0)


def test_many_threads_write_into_one_new_series(writer: SpoolWriter) -> None:
    paths = [layout.instance_path(writer.spool_dir, KEY, f"1.{n}") for n in range(64)]
    threads = [
        threading.Thread(
            target=lambda part: [writer.write(p, (b"x",)) for p in part], args=(c,)
        )
        for c in (paths[i::8] for i in range(8))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(layout.list_instances(writer.spool_dir, KEY)) == set(paths)


def test_listing_shows_series_and_not_the_spools_own_folders(writer: SpoolWriter) -> None:
    root = writer.spool_dir
    writer.write(layout.instance_path(root, KEY, SOP), (b"x",))
    writer.write(layout.results_folder(root, KEY, 1) / "sr.dcm", (b"x",))
    (root / "lost+found" / "1.2").mkdir(parents=True)
    (root / "1.2.3" / "notes.txt").write_text("not DICOM")

    listed = dict(layout.list_series(root))

    assert listed == {KEY: layout.series_folder(root, KEY).stat().st_mtime_ns}
    assert layout.list_instances(root, KEY) == (layout.instance_path(root, KEY, SOP),)
    assert layout.list_instances(root, SeriesKey("9", "9")) == ()


def test_removal_takes_instances_and_leaves_results_and_sister_series(
    writer: SpoolWriter,
) -> None:
    root, sister = writer.spool_dir, SeriesKey(KEY.study_instance_uid, "1.2.3.9")
    result = layout.results_folder(root, KEY, 2) / "sr.dcm"
    for path in (
        layout.instance_path(root, KEY, SOP),
        layout.instance_path(root, sister, SOP),
        result,
    ):
        writer.write(path, (b"x",))

    layout.remove_series(root, KEY, before=LATER)

    assert [key for key, _ in layout.list_series(root)] == [sister]
    assert result.exists()
    layout.remove_series(root, sister, before=LATER)
    assert not (root / KEY.study_instance_uid).exists()
    layout.remove_series(root, sister, before=LATER)  # a second call does nothing


def test_leftovers_of_dead_writers_are_removed_and_those_of_living_ones_stay(
    writer: SpoolWriter,
) -> None:
    dead = writer.spool_dir / layout.INCOMING / "dead.part"
    alive = writer.spool_dir / layout.INCOMING / "alive.part"
    dead.write_bytes(b"half")
    with alive.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        removed = clean_incoming(writer.spool_dir)

        assert (removed, dead.exists(), alive.exists()) == (1, False, True)


def test_a_file_that_was_just_created_stays_while_others_write(writer: SpoolWriter) -> None:
    new, old = (writer.spool_dir / layout.INCOMING / f"{name}.part" for name in ("new", "old"))
    for path in (new, old):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 60, time.time() - 60))

    removed = clean_incoming(writer.spool_dir, min_age_seconds=5.0)

    assert (removed, new.exists(), old.exists()) == (1, True, False)


def test_files_are_not_readable_by_everybody(writer: SpoolWriter) -> None:
    path = layout.instance_path(writer.spool_dir, KEY, SOP)
    writer.write(path, (b"x",))

    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
    for folder in (path.parent, path.parent.parent, writer.spool_dir):
        assert stat.S_IMODE(folder.stat().st_mode) & 0o007 == 0
