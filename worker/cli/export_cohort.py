"""Command ``export cohort``: labeled hips of the record as a manifest for training."""

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.shell import operator, read_settings, sessions, stop

KEY_BYTES = 32

app = typer.Typer(no_args_is_help=True, help="Write files from the record.")


@app.callback()
def export() -> None:
    """Keep ``export`` a group of commands while it has one."""


@app.command()
def cohort(
    out: Annotated[Path, typer.Option(help="CSV file to write: a manifest for training.")],
    key: Annotated[
        Path,
        typer.Option(
            help="File with the secret of the pseudonyms; made if missing. The same file gives "
            "a patient the same pseudonym in every export."
        ),
    ],
) -> None:
    """Write the graded hips that have a DXA result, with the readers' feedback.

    series_dir names the folder in the spool; no DICOM file is copied or moved. Run it with the
    settings of the review page, whose role in the database may read feedback.
    """
    from db.access_log import AuditActor, record_export
    from worker.review.export_rows import LABEL_COLUMNS, csv_lines
    from worker.review.labeled_hips import labeled_hips

    secret = _read_key(key)
    opened = sessions()
    hips = [
        hip
        for hip in labeled_hips(opened, spool_dir=read_settings().spool_dir, key=secret)
        if hip.row["t_score"] is not None
    ]
    kept = [hip for hip in hips if Path(hip.row["series_dir"]).is_dir()]
    with opened.begin() as session:
        studies = {hip.study_instance_uid for hip in kept}
        actor = AuditActor(operator(), "operator", "")
        record_export(session, actor, out.name, studies, now=datetime.now(UTC))
    with out.open("w", newline="", encoding="utf-8") as file:
        file.writelines(csv_lines(LABEL_COLUMNS, (hip.row for hip in kept)))
    patients = len({hip.row["patient_id"] for hip in kept})
    print(f"{len(kept)} hips of {patients} patients written to {out}")
    if len(kept) < len(hips):
        print(f"{len(hips) - len(kept)} hips left out: their images were deleted by retention")


def _read_key(path: Path) -> bytes:
    """Return the secret; a new one is readable by its owner only."""
    try:
        if not path.exists():
            with os.fdopen(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
            ) as f:
                f.write(secrets.token_bytes(KEY_BYTES))
        secret = path.read_bytes()
    except OSError as error:
        stop(f"--key {path} cannot be used: {error.strerror}", 2)
    if len(secret) != KEY_BYTES:
        stop(f"--key {path} has {len(secret)} bytes, expected {KEY_BYTES}; give a new file", 2)
    return secret
