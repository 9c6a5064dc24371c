"""The next version of a package: the same files, a higher number and one migration more.

The package that is given is then the version before, whose database has another schema.
"""

import io
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

MIGRATION_FILE = re.compile(r"/db/migrations/versions/\w+\.py$")
REVISION = re.compile(r'^(revision|down_revision) = "(\w+)"$', re.MULTILINE)
MARK = "trial_mark"
MIGRATION = '''"""A column of the series, filled for those on record (trial of an upgrade)."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("series", sa.Column("{mark}", sa.String(length=16)))
    op.execute("UPDATE series SET {mark} = 'migrated'")


def downgrade() -> None:
    op.drop_column("series", "{mark}")
'''
MIGRATED = f"SELECT count({MARK}) FROM series"  # noqa: S608 - a constant
"""Number of series that were on record when the migration ran."""


def next_version(package: Path, target: Path) -> str:
    """Write the next version of a package; return the revision of its schema.

    The data of the package are not compressed, to save the time.
    """
    package, target = package.absolute(), target.absolute()
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:

        def run(*command: str | Path) -> None:
            subprocess.run(command, check=True, cwd=folder)

        data = Path(folder, "data.tar")
        with data.open("wb") as file:
            subprocess.run(["dpkg-deb", "--fsys-tarfile", package], stdout=file, check=True)
        revision = add_migration(data)
        run("dpkg-deb", "--control", package, "control")
        control = Path(folder, "control/control")
        version = re.compile(r"^(Version: .+)$", re.MULTILINE)
        control.write_text(version.sub(r"\1+next", control.read_text()))
        run("tar", "--owner=0", "--group=0", "-czf", "control.tar.gz", "-C", "control", ".")
        Path(folder, "debian-binary").write_text("2.0\n")
        run("ar", "rc", target, "debian-binary", "control.tar.gz", "data.tar")
    return revision


def add_migration(data: Path) -> str:
    """Append a migration to the files of a package (a tar archive); return its revision."""
    scripts = {}
    with tarfile.open(data, "r:") as archive:
        for member in archive:
            if MIGRATION_FILE.search(member.name) and (file := archive.extractfile(member)):
                scripts[member.name] = file.read().decode()
    head = newest_revision(list(scripts.values()))
    revision = f"{head}_next"
    text = MIGRATION.format(revision=revision, head=head, mark=MARK).encode()
    added = tarfile.TarInfo(f"{max(scripts).rpartition('/')[0]}/{revision}.py")
    added.size, added.mode, added.uname, added.gname = len(text), 0o644, "root", "root"
    # As dpkg-deb writes it: dpkg reads no extended headers of POSIX.
    with tarfile.open(data, "a:", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(added, io.BytesIO(text))
    return revision


def newest_revision(scripts: list[str]) -> str:
    """Return the revision that no migration follows; raises ValueError unless it is one."""
    found = [dict(REVISION.findall(script)) for script in scripts]
    followed = {one.get("down_revision") for one in found}
    (head,) = {one["revision"] for one in found} - followed
    return head
