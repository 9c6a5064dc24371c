"""Command ``erase``: everything of a patient, from the record and from the spool."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.shell import operator, read_settings, require_service_user, sessions, stop

if TYPE_CHECKING:
    from db.erasure import PatientRecord


def erase(
    patient_id: Annotated[str, typer.Argument(metavar="PATIENT_ID", help="Patient ID.")],
    issuer: Annotated[
        str | None, typer.Option(help="Issuer of Patient ID; of any issuer if omitted.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what is there.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase a patient: images, results and every row. Needs the owner of the tables.

    Objects at destinations, backups and exported files are not touched. Exit 1: nothing was
    erased.
    """
    settings, opened, now = read_settings(), sessions(), datetime.now(UTC)
    require_service_user(settings, "erase")
    from common.spool.erasure import remove_study
    from db.erasure import RecordChanged, erase_patient, find_patient
    from db.session import DriverError

    with opened() as session:
        found = find_patient(session, patient_id, issuer, now=now)
    _print(found)
    if dry_run:
        return
    _require_erasable(found)
    if not yes and not typer.confirm("Erase all of it?"):
        stop("nothing was erased")
    try:
        with opened.begin() as session:
            erase_patient(session, found, issuer, by=operator(), now=now)
            # Before the end of the transaction: a folder without a row would be registered.
            for uid in found.study_uids:
                remove_study(settings.spool_dir, uid)
    except RecordChanged as error:
        stop(f"nothing was erased: {error}; run it again")
    except DriverError as error:
        stop(
            f"nothing was erased from the record: {str(error.orig).strip().splitlines()[0]};"
            " it needs the owner of the tables (osteoscreenctl erase); run it again"
        )
    except OSError as error:
        stop(f"{error.filename}: {error.strerror}; nothing was erased from the record")
    print("erased")


def _print(found: "PatientRecord") -> None:
    print(
        f"studies: {len(found.study_uids)}, series: {found.series}, results: {found.results},"
        f" DXA results: {found.dxa_results}"
    )
    for uid in found.study_uids:
        print(f"  {uid}")


def _require_erasable(found: "PatientRecord") -> None:
    """Stop if nothing is there, or if it cannot be erased now."""
    if not found.study_uids and not found.dxa_results:
        stop("no patient with this ID on record: compare it with that of the PACS")
    if found.others:
        stop(
            "nothing was erased: also a series of another patient in the study"
            f" {', '.join(found.others)}; correct it at the PACS and send it again"
        )
    if found.open:
        stop(
            f"nothing was erased: work in progress on {', '.join(found.open)}; run it again"
            " when `show` prints a final state"
        )
