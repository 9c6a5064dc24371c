"""The command ``withdraw``: results by a UID, or all of a model version."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from common.settings.worker import WorkerSettings
from common.spool.writer import SpoolWriter
from db import withdrawal, withdrawal_lookup
from db.session import Sessions
from db.states import WithdrawalReason
from db.transition import ChangedBy
from db.withdrawal_lookup import ResultToWithdraw
from worker.cli.shell import print_json, stop
from worker.cli.tables import print_all
from worker.screening import withdrawal as notes


@dataclass(frozen=True, slots=True)
class Request:
    """What an operator asks for; ``by_model`` : a recall of a model version."""

    dry_run: bool
    by_model: bool
    actor: str


def find_results(
    sessions: Sessions, uid: str | None, model_version: str | None
) -> list[ResultToWithdraw] | None:
    """Return the results that can be withdrawn; None for an unknown UID."""
    with sessions.begin() as session:
        if uid is not None:
            return withdrawal_lookup.results_by_uid(session, uid)
        return withdrawal_lookup.results_of_model(session, model_version or "")


def run(
    sessions: Sessions,
    settings: WorkerSettings,
    found: Sequence[ResultToWithdraw],
    request: Request,
    *,
    as_json: bool,
) -> int:
    """Withdraw the results, or show them only; return the exit code."""
    done, lost = list(found), list[ResultToWithdraw]()
    if not request.dry_run:
        done, lost = _withdraw_all(sessions, settings, found, request)
    _print(done, request, as_json=as_json)
    if lost:
        uids = ", ".join(one.report.sop_instance_uid for one in lost)
        stop(f"not withdrawn, the report is not in the spool ({settings.spool_dir}): {uids}")
    return 0


def _withdraw_all(
    sessions: Sessions,
    settings: WorkerSettings,
    found: Sequence[ResultToWithdraw],
    request: Request,
) -> tuple[list[ResultToWithdraw], list[ResultToWithdraw]]:
    """Withdraw each result in its own transaction; return the withdrawn and the lost ones.

    A command that was stopped is repeated: it goes on with the results that are left.
    """
    spool = SpoolWriter(settings.spool_dir)
    reason = WithdrawalReason.MODEL if request.by_model else WithdrawalReason.OPERATOR
    done: list[ResultToWithdraw] = []
    lost: list[ResultToWithdraw] = []
    for one in found:
        try:
            prepared = notes.prepare(spool, settings.spool_dir, one, reason)
        except FileNotFoundError:
            lost.append(one)
            continue
        except OSError as error:
            stop(
                f"no rejection note can be written to the spool ({settings.spool_dir}):"
                f" {error.strerror}; run the command as the user of the worker"
            )
        with sessions.begin() as session:
            by = ChangedBy(request.actor, datetime.now(UTC))
            destinations = withdrawal.withdraw(session, prepared, by)
        notes.mark_result(sessions, spool, settings.spool_dir, one.screening_id)
        if destinations is not None:  # withdrawn by another process meanwhile
            done.append(one)
    return done, lost


def _print(results: Sequence[ResultToWithdraw], request: Request, *, as_json: bool) -> None:
    if as_json:
        entries = [_json(one) for one in results]
        print_json({"dry_run": request.dry_run, "withdrawn": entries})
        return
    if not results:
        print("nothing to withdraw: no result stands")
        return
    print_all([_table(results)])
    would = "would be" if request.dry_run else "are"
    print(f"{len(results)} results {would} withdrawn")


def _json(one: ResultToWithdraw) -> dict[str, Any]:
    return {
        "study_uid": one.study_instance_uid,
        "series_uid": one.series_instance_uid,
        "model": {"name": one.model_name, "version": one.model_version},
        "objects": [
            {"role": each.role, "sop_uid": each.sop_instance_uid} for each in one.objects
        ],
        "destinations": list(one.destinations),
    }


def _table(results: Sequence[ResultToWithdraw]) -> Table:
    table = Table("study", "series", "model", "objects", "rejection note to")
    for one in results:
        table.add_row(
            one.study_instance_uid,
            one.series_instance_uid,
            f"{one.model_name} {one.model_version}",
            ", ".join(each.role for each in one.objects),
            ", ".join(one.destinations) or "none holds it",
        )
    return table
