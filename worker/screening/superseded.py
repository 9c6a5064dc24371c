"""Results that a run supersedes: their rejection notes, and the marks in their files."""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from common.logging import get_logger
from db import withdrawal_lookup
from db.runs import Lease
from db.withdrawal import Withdrawal
from worker.context import WorkerContext
from worker.pipeline.decoding.header import read_header
from worker.pipeline.validation.identity import Identity, identity_of
from worker.screening.study_run import StudyRun
from worker.screening.withdrawal import mark_result, withdrawals_by_run

log = get_logger(__name__)


def superseded_by_study(
    context: WorkerContext, run: StudyRun, *, kept: Collection[str] = ()
) -> list[Withdrawal]:
    """Write the notes of the results that a run over a study supersedes."""
    with context.sessions.begin() as session:
        standing = withdrawal_lookup.results_of_study(session, run.lease.study_id)
    facts = (entry.facts for entry in run.ranking.entries)
    identity = tuple(dict.fromkeys(value for one in facts for value in one.identity))
    return withdrawals_by_run(
        context.spool, context.settings.spool_dir, standing, identity, kept=kept
    )


def superseded_by_series(
    context: WorkerContext,
    lease: Lease,
    identity: Callable[[], Identity],
    *,
    kept: Collection[str] = (),
) -> list[Withdrawal]:
    """Write the notes of the results that a run over a series supersedes.

    ``identity`` : of its images; called only where there is an earlier result.
    """
    with context.sessions.begin() as session:
        standing = withdrawal_lookup.results_of_series(session, lease.series_id)
    if not standing:
        return []
    return withdrawals_by_run(
        context.spool, context.settings.spool_dir, standing, identity(), kept=kept
    )


def identity_of_files(paths: Sequence[Path]) -> Identity:
    """Return the identity of the patient whom the readable files of a series name."""
    headers = []
    for path in paths:
        with suppress(Exception):  # the parser raises any exception for damaged bytes
            headers.append(read_header(path).dataset)
    return identity_of(headers)


def mark_withdrawn(context: WorkerContext, withdrawals: Iterable[Withdrawal]) -> None:
    """Say in the log and in the files of withdrawn results what the record says."""
    for one in withdrawals:
        log.info("result_withdrawn", screening_id=one.screening_id, reason=one.reason.value)
        mark_result(
            context.sessions, context.spool, context.settings.spool_dir, one.screening_id
        )
