"""Files of a backup: dump, archive of the spool, settings, and the manifest that names them."""

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from common.settings.base import SECRET
from common.settings.files import FILE_SUFFIX, PREFIX
from common.settings.names import SERVICES
from common.spool.held import HELD
from common.spool.layout import RESULTS
from common.spool.writer import SpoolWriter
from worker.models.candidate import MODELS_FOLDER

DUMP, SPOOL, SETTINGS, MANIFEST = (
    "database.dump",
    "spool.tar",
    "osteoscreen.env",
    "manifest.json",
)
SPOOL_FOLDERS = (RESULTS, MODELS_FOLDER, HELD)
"""What the PACS cannot send again: results, promoted models, changed content that waits."""
FORMAT = 1
CHUNK_BYTES = 1 << 20


class BackupError(Exception):
    """A backup that cannot be made or used; the text is the line for the operator."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """``schema`` : revision of the database. ``sha256`` : by file name."""

    created_at: str
    schema: str
    sha256: Mapping[str, str]
    format: int = FORMAT


def archive_spool(spool_dir: Path, path: Path) -> int:
    """Write the folders of ``SPOOL_FOLDERS`` to a tar file; return the number of files.

    A file that is deleted meanwhile, such as decided content of ``held``, is left out.
    """
    count = 0
    with tarfile.open(path, "w") as archive:
        for file in _files(spool_dir):
            try:
                archive.add(file, str(file.relative_to(spool_dir)), recursive=False)
            except FileNotFoundError:
                continue
            count += 1
    return count


def extract_spool(path: Path, spool_dir: Path) -> int:
    """Write the files of an archive to the spool, durably; return their number."""
    writer, count = SpoolWriter(spool_dir), 0
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            parts = Path(member.name).parts
            if file is None or parts[0] not in SPOOL_FOLDERS or ".." in parts:
                raise BackupError(f"{path}: unexpected entry {member.name}")
            writer.write(spool_dir / member.name, iter(partial(file.read, CHUNK_BYTES), b""))
            count += 1
    return count


def settings_lines(environment: Mapping[str, str]) -> str:
    """Return the settings of an environment as a file of systemd, without secrets."""
    secret = {PREFIX + name for name in _secret_names()}
    lines = ["# Settings at the time of the backup. Secrets are not in the backup."]
    for name, value in sorted(environment.items()):
        if not name.startswith(PREFIX):
            continue
        if name in secret or name.endswith(FILE_SUFFIX):
            lines.append(f"# {name}: not in the backup")
        else:
            quoted = value.replace("\\", "\\\\").replace('"', '\\"')
            lines.append(f'{name}="{quoted}"')
    return "\n".join(lines) + "\n"


def write_manifest(folder: Path, created_at: str, schema: str) -> None:
    """Write the manifest of the files in a folder."""
    digests = {name: sha256_of(folder / name) for name in (DUMP, SPOOL, SETTINGS)}
    text = json.dumps(asdict(Manifest(created_at, schema, digests)), indent=2)
    (folder / MANIFEST).write_text(text + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a complete and unaltered backup; raises BackupError."""
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise BackupError(f"{folder} is not a backup: {MANIFEST}: {error}") from error
    if manifest.format != FORMAT:
        raise BackupError(f"{folder}: format {manifest.format}, expected {FORMAT}")
    for name in (DUMP, SPOOL, SETTINGS):
        try:
            found = sha256_of(folder / name)
        except OSError as error:
            raise BackupError(f"{folder / name}: {error.strerror}") from error
        if found != manifest.sha256.get(name):
            raise BackupError(f"{folder / name} was altered or damaged: use another backup")
    return manifest


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(spool_dir: Path) -> Iterator[Path]:
    for name in SPOOL_FOLDERS:
        for folder, _, files in os.walk(spool_dir / name):
            yield from (Path(folder, file) for file in files)


def _secret_names() -> Iterator[str]:
    for service in SERVICES:
        for name, field in service.model_fields.items():
            if field.json_schema_extra == SECRET or "SecretStr" in str(field.annotation):
                yield name.upper()
