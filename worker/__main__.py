"""``python -m worker screen | status | show | retry | pause | resume | doctor | review``, and
``shadow | promote | rollback`` of a candidate model.

Imports that take seconds are inside of the commands that need them.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from worker import command_models
from worker.operator_shell import AsJson, operator, print_json, read_settings, sessions, stop

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Destination = Annotated[
    str, typer.Argument(metavar="NAME", help="As OSTEOSCREEN_DESTINATIONS calls it.")
]
for command in (command_models.shadow, command_models.promote, command_models.rollback):
    app.command()(command)


@app.command()
def screen(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="DICOM files, at any depth.")],
    out: Annotated[Path, typer.Option(help="Where SR, SC, PNG and result.json are written.")],
    model: Annotated[Path | None, typer.Option(help="Folder of a model package.")] = None,
) -> None:
    """Screen every series under DIR, without servers.

    Exit 0: screened; 3: all rejected; 2: bad input; 1: a series ended by an error.
    """
    from worker.command_screen import screen_folder
    from worker.outputs import Form

    settings = read_settings()
    raise SystemExit(
        screen_folder(
            folder,
            out,
            model or settings.model_dir,
            form=Form(settings.sr_sop_class, settings.parametric_map),
        )
    )


@app.command()
def status(
    limit: Annotated[int, typer.Option(min=1, help="How many series to list.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The queue, the deliveries and the last results."""
    from db.standing import standing
    from worker import tables

    with sessions().begin() as session:
        stands = standing(session, now=datetime.now(UTC), limit=limit)
    if as_json:
        print_json(tables.status_json(stands))
    else:
        tables.print_all(tables.status_tables(stands))


@app.command()
def show(
    uid: Annotated[str, typer.Argument(metavar="UID", help="Series Instance UID.")],
    as_json: AsJson = False,
) -> None:
    """Everything on record about one series."""
    from db import overview
    from worker import tables

    with sessions().begin() as session:
        history = overview.series_history(session, uid)
    if history is None:
        _unknown(uid)
    if as_json:
        print_json(tables.show_json(history))
    else:
        tables.print_all(tables.show_tables(history))


@app.command()
def retry(
    uid: Annotated[str, typer.Argument(metavar="UID", help="Series Instance UID.")],
) -> None:
    """Screen a failed or rejected series again; send again what was refused or waits."""
    from db.retry import retry_series

    with sessions().begin() as session:
        retried = retry_series(session, uid, actor=operator(), now=datetime.now(UTC))
    if retried is None:
        _unknown(uid)
    # No message: the sweep of the workers finds within seconds what the record says is due.
    if retried.screening:
        print("queued to be screened again")
    if retried.deliveries:
        print(f"{retried.deliveries} deliveries are due again")
    if not (retried.screening or retried.deliveries):
        print("nothing to do: the series is neither failed, rejected nor undelivered")


@app.command()
def pause(name: Destination) -> None:
    """Send nothing to a destination until it is resumed; what is due waits."""
    from db import pause as pauses

    with sessions().begin() as session:
        _require_destination(session, name)
        new = pauses.pause(session, name, actor=operator(), now=datetime.now(UTC))
    print(f"{name} is paused" if new else f"{name} was paused already")


@app.command()
def resume(name: Destination) -> None:
    """Send to a destination again; what waits is due now."""
    from db import pause as pauses

    with sessions().begin() as session:
        resumed = pauses.resume(session, name, actor=operator(), now=datetime.now(UTC))
    print(f"{name} is resumed" if resumed else f"{name} was not paused")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check database, broker, spool, model and destinations; exit 1 if any check failed."""
    import logging
    from dataclasses import asdict

    from worker import tables
    from worker.doctor import run_checks

    logging.disable()  # the table says it, in the operator's words
    checks = list(run_checks(read_settings()))
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        tables.print_all([tables.doctor_table(checks)])
    raise SystemExit(0 if all(check.ok for check in checks) else 1)


@app.command()
def review() -> None:
    """Serve the review page, for browsers."""
    from worker.review.serve import serve

    serve()


def _require_destination(session: "Session", name: str) -> None:
    """Stop where neither settings nor record know the name: it is misspelt."""
    from db.standing import list_destinations

    known = {one.name for one in read_settings().destinations}
    known |= set(list_destinations(session))
    if name not in known:
        stop(f"no destination {name} (known: {', '.join(sorted(known)) or 'none'})")


def _unknown(uid: str) -> NoReturn:
    stop(f"no series {uid} on record (see `python -m worker status`)")


def main() -> None:
    """Run the command; a database that does not answer is one line, not a traceback."""
    from sqlalchemy.exc import OperationalError

    try:
        app()
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        stop(f"database: {reason}; `python -m worker doctor` says more")


if __name__ == "__main__":
    main()
