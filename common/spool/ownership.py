"""Owner of the spool: the user of the services, whom every file in it must belong to."""

import os
import pwd
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

SCANNED_ENTRIES = 20_000


def user_name(uid: int) -> str:
    """Return the name of a user, or the number of one without a name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def service_user(spool_dir: Path) -> str | None:
    """Return the owner of the spool if this process is root and the owner is not, else None.

    What root writes into the folder of another user is unreadable for that user. Other users
    are stopped by the permissions of the folder, or share it on purpose (``fsGroup`` of
    Kubernetes, whose volumes belong to root). Raises OSError if there is no spool.
    """
    owner = spool_dir.stat().st_uid
    return user_name(owner) if os.geteuid() == 0 and owner != 0 else None


def foreign_entries(
    spool_dir: Path, limit: int = SCANNED_ENTRIES
) -> tuple[list[tuple[Path, int]], int]:
    """Return the entries of the spool with an unexpected owner, and the number examined.

    Expected are the owner of the spool and, unless it is root, the user of this process. The
    first levels come first, so that models and new folders are among a limited number.
    """
    expected = {spool_dir.stat().st_uid, os.geteuid() or spool_dir.stat().st_uid}
    foreign: list[tuple[Path, int]] = []
    examined = 0
    for path, owner in islice(_entries(spool_dir), limit):
        examined += 1
        if owner not in expected:
            foreign.append((path, owner))
    return foreign, examined


def _entries(spool_dir: Path) -> Iterator[tuple[Path, int]]:
    """Yield each entry below the spool with its owner, level by level.

    Entries that end meanwhile, and folders that cannot be listed, are left out.
    """
    folders = [spool_dir]
    for folder in folders:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            try:
                yield Path(entry.path), entry.stat(follow_symlinks=False).st_uid
            except FileNotFoundError:
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
