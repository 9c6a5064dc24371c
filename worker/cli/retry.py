"""The command ``retry``: screen again, send again what waits, or what was delivered."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.shell import (
    operator,
    read_settings,
    require_destination,
    sessions,
    stop,
    stop_unknown,
)

if TYPE_CHECKING:
    from db.redelivery import Delivered, DeliveredResult

TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
Time = datetime | None


def retry(
    uid: Annotated[
        str | None, typer.Argument(metavar="UID", help="Series or Study Instance UID.")
    ] = None,
    destination: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Everything that waits for this destination."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Send results again that were delivered."),
    ] = False,
    since: Annotated[
        Time, typer.Option(formats=TIMES, help="With --force: accepted at or after this time.")
    ] = None,
    until: Annotated[
        Time, typer.Option(formats=TIMES, help="With --force: accepted before this time.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="With --force: results of this model version."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --force: only count; change nothing.")
    ] = False,
) -> None:
    """Screen a series or study without a result again; send what was refused or withheld.

    With --force, send again what destinations have accepted: all that is given must match.
    """
    if force:
        _resend(uid, destination, (since, until), model, dry_run=dry_run)
        return
    if since or until or model or dry_run:
        stop("--since, --until, --model and --dry-run need --force", code=2)
    if (uid is None) == (destination is None):
        stop("give either a UID or --destination NAME")
    if destination is not None:
        _retry_destination(destination)
    elif uid is not None:
        _retry_uid(uid)


def _retry_destination(name: str) -> None:
    from db.retry import retry_destination

    with sessions().begin() as session:
        require_destination(session, name)
        count = retry_destination(session, name, actor=operator(), now=datetime.now(UTC))
    print(f"{count} deliveries to {name} are due again")


def _retry_uid(uid: str) -> None:
    from db.retry import retry_by_uid

    with sessions().begin() as session:
        retried = retry_by_uid(
            session,
            uid,
            actor=operator(),
            now=datetime.now(UTC),
            destinations=[destination.name for destination in read_settings().destinations],
        )
    if retried is None:
        stop_unknown(uid)
    # No task message: the workers' sweep finds due work within seconds.
    if retried.screening:
        print("queued to be screened again")
    if retried.deliveries:
        print(f"{retried.deliveries} deliveries are due again")
    if not (retried.screening or retried.deliveries):
        print(
            "nothing to do: it is neither failed, rejected nor undelivered; `--force` sends"
            " delivered results again"
        )


def _resend(
    uid: str | None,
    destination: str | None,
    accepted: tuple[Time, Time],
    model: str | None,
    *,
    dry_run: bool,
) -> None:
    from db.redelivery import Delivered, delivered_results

    # A time without an offset is in the time zone of the settings, which are read first.
    database = sessions()
    since, until = (None if one is None else one.astimezone() for one in accepted)
    wanted = Delivered(uid, since, until, model, destination)
    if wanted == Delivered():
        stop("--force needs a UID, --since, --until, --model or --destination", code=2)
    with database.begin() as session:
        if destination is not None:
            require_destination(session, destination)
        results = delivered_results(session, wanted)
    if dry_run:
        _print_counts(results)
        print(f"would be sent again: {_total(results)}; nothing was changed")
        return
    _send_again(results, wanted)


def _send_again(results: "Sequence[DeliveredResult]", wanted: "Delivered") -> None:
    """Make each result due in its own transaction: a command that was stopped is repeated."""
    from db.redelivery import redeliver_result

    database, due = sessions(), 0
    for one in results:
        with database.begin() as session:
            due += redeliver_result(
                session, one.screening_id, wanted, actor=operator(), now=datetime.now(UTC)
            )
    _print_counts(results)
    print(f"{due} deliveries of {len(results)} results are due again")


def _print_counts(results: "Sequence[DeliveredResult]") -> None:
    """Print the number of objects and results of each destination and model version."""
    objects, runs = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for one in results:
        for destination, count in one.objects.items():
            objects[destination, one.model_version] += count
            runs[destination, one.model_version] += 1
    for (destination, version), count in sorted(objects.items()):
        results_text = f"{runs[destination, version]} results of model {version}"
        print(f"{destination}: {count} objects, {results_text}")


def _total(results: "Sequence[DeliveredResult]") -> str:
    objects = sum(sum(one.objects.values()) for one in results)
    return f"{objects} objects of {len(results)} results"
