"""Commands of ``python -m worker``.

Imports that take seconds are inside the commands that need them.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from worker.cli import backup, erase, export_cohort, held, models, retry
from worker.cli.shell import (
    AsJson,
    operator,
    print_json,
    read_settings,
    require_destination,
    require_service_user,
    sessions,
    stop,
    stop_unknown,
)

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
DestinationName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Name in OSTEOSCREEN_DESTINATIONS."),
]
for command in (
    models.shadow, models.promote, models.rollback, held.accept, held.refuse, retry.retry,
    backup.backup, backup.restore, erase.erase,
):  # fmt: skip
    app.command()(command)
app.add_typer(export_cohort.app, name="export")


@app.command()
def screen(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with DICOM files, at any depth.")
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for the SR, SC and PNG files and result.json.")
    ],
    model: Annotated[
        Path | None,
        typer.Option(help="Folder of a model package; none: measure without a model."),
    ] = None,
    per: Annotated[
        Literal["study", "series"] | None,
        typer.Option(help="One result a study (default) or a series."),
    ] = None,
) -> None:
    """Screen every study under DIR, without servers; study.json tells what became of a series.

    Exit 0: at least one series screened; 3: all rejected; 2: bad input; 1: a series failed.
    """
    from worker.cli.screen import ScreenOptions, screen_folder
    from worker.patient_rules import patient_rules
    from worker.screening.outputs import OutputOptions

    settings = read_settings()
    options = ScreenOptions(
        per,
        settings.series_rules,
        settings.study_max_series,
        patient_rules(settings),
        OutputOptions(settings.sr_sop_class, settings.parametric_map, settings.key_objects),
    )
    model_dir = settings.model_dir if model is None else model
    if model == Path("none"):
        model_dir = None
    raise SystemExit(screen_folder(folder, out, model_dir, options))


@app.command()
def rank(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with DICOM files, at any depth.")
    ],
    as_json: AsJson = False,
) -> None:
    """Show which series of each study under DIR would be screened, and why; read no pixel.

    Exit 0: at least one series may be screened; 3: none; 2: bad input.
    """
    from worker.cli.rank import rank_folder
    from worker.patient_rules import patient_rules

    settings = read_settings()
    patients = patient_rules(settings)
    raise SystemExit(rank_folder(folder, settings.series_rules, patients, as_json=as_json))


@app.command()
def status(
    limit: Annotated[int, typer.Option(min=1, help="Number of series to list.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the queue, the deliveries and the last results."""
    from db.queue_status import queue_status
    from worker.cli import status as status_output
    from worker.cli.tables import print_all

    with sessions().begin() as session:
        current = queue_status(session, now=datetime.now(UTC), limit=limit)
    if as_json:
        print_json(status_output.status_json(current))
    else:
        print_all(status_output.status_tables(current))


@app.command()
def show(
    identifier: Annotated[
        str,
        typer.Argument(
            metavar="UID", help="Series or Study Instance UID, patient ID or accession number."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Show everything on record about a series or a study; list the studies of a patient."""
    from db.history import SeriesHistory, StudyHistory
    from worker.cli import show as show_output
    from worker.cli import show_found, show_study
    from worker.cli.tables import print_all

    with sessions().begin() as session:
        found = show_found.find(session, identifier)
    if isinstance(found, SeriesHistory):
        as_values, tables = show_output.show_json(found), show_output.show_tables(found)
    elif isinstance(found, StudyHistory):
        as_values = show_study.show_study_json(found)
        tables = show_study.show_study_tables(found)
    elif found:
        as_values, tables = show_found.studies_json(found), show_found.studies_table(found)
    else:
        stop_unknown(identifier)
    if as_json:
        print_json(as_values)
    else:
        print_all(tables)


@app.command()
def withdraw(
    uid: Annotated[
        str | None,
        typer.Argument(
            metavar="UID", help="Of a study, a CT series, or a result's series or object."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="All results of this version of a model."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be withdrawn; change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Withdraw results: send a rejection note to each destination that holds their objects.

    Exit 0: all are withdrawn, or there is none; 1: unknown UID, or a report is lost.
    """
    from worker.cli import withdraw as command

    if (uid is None) == (model is None):
        stop("give either a UID or --model VERSION")
    database, settings = sessions(), read_settings()
    if not dry_run:
        require_service_user(settings, "withdraw")
    found = command.find_results(database, uid, model)
    if found is None:
        stop(f"no study, series or object {uid} on record (see `python -m worker status`)")
    request = command.Request(dry_run=dry_run, by_model=model is not None, actor=operator())
    raise SystemExit(command.run(database, settings, found, request, as_json=as_json))


@app.command()
def pause(name: DestinationName) -> None:
    """Send nothing to a destination until it is resumed; due deliveries wait."""
    from db import pauses

    with sessions().begin() as session:
        require_destination(session, name)
        new = pauses.pause(session, name, actor=operator(), now=datetime.now(UTC))
    print(f"{name} is paused" if new else f"{name} was paused already")


@app.command()
def resume(name: DestinationName) -> None:
    """Send to a paused destination again; waiting deliveries are due now."""
    from db import pauses

    with sessions().begin() as session:
        resumed = pauses.resume(session, name, actor=operator(), now=datetime.now(UTC))
    print(f"{name} is resumed" if resumed else f"{name} was not paused")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check settings, user, database, broker, spool, models and destinations; change nothing.

    Exit 1 if any check failed.
    """
    import logging
    from dataclasses import asdict

    from worker.cli import tables
    from worker.diagnostics.checks import run_checks

    logging.disable()  # the table reports the failures; library logs would repeat them
    checks = list(run_checks(read_settings()))
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        tables.print_all([tables.doctor_table(checks)])
    raise SystemExit(0 if all(check.ok for check in checks) else 1)


@app.command()
def review() -> None:
    """Serve the review page for web browsers."""
    from worker.review.serve import serve

    serve()


def main() -> None:
    """Run the command; report a database that does not answer in one line."""
    from db.session import DatabaseUnavailable

    try:
        app()
    except DatabaseUnavailable as error:
        reason = str(error.orig).strip().splitlines()[0]
        stop(f"database: {reason}; run `python -m worker doctor` for details")
