"""Screening of one due study: lease, ranking, pipeline, files, rows.

All I/O around the pure pipeline is here and in ``study_run``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.logging import get_logger
from common.metrics import REJECTIONS, SCREENINGS
from common.spool.layout import study_results_folder
from db import history, study_leases, study_results, study_series
from db.outbox import NewResult
from db.runs import StudyLease
from db.states import WithdrawalReason
from db.study_results import StudyChanged
from db.study_series import RunSeries, StandingResult
from worker.context import WorkerContext, utc_now
from worker.models.candidate import record_predictions
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.result_json import to_json
from worker.pipeline.results import Rejected, Screening
from worker.pipeline.screen_study import StudyScreening
from worker.pipeline.study_json import study_json
from worker.screening import outputs
from worker.screening.build import build_with_record, count_metrics, count_screened
from worker.screening.delivery_policy import Withheld
from worker.screening.lease import run_leased
from worker.screening.outputs import Outputs
from worker.screening.rows import FILE_NAMES, hip_row, object_rows, screening_row
from worker.screening.study_decisions import (
    ends_of,
    ends_of_same,
    late_ends,
    reopens,
    used_series,
)
from worker.screening.study_run import StudyRun, Superseded
from worker.screening.superseded import mark_withdrawn, superseded_by_study
from worker.screening.withhold import count_decision, decide, decision_json, with_decision

RESULT_JSON = "result.json"
STUDY_JSON = "study.json"
MAX_RANKINGS = 5
"""Rankings of one run; a study that changes more often is screened again from the start."""

log = get_logger(__name__)


def screen_study(context: WorkerContext, study_id: int) -> int | None:
    """Screen a study if it is due; return the screening id if its deliveries are due now.

    Errors are recorded on the study, as ``screen_series`` records them on the series.
    """
    with context.sessions.begin() as session:
        lease = study_leases.lease_study(
            session,
            study_id,
            leased_by=context.name,
            now=utc_now(),
            lease_seconds=context.settings.lease_seconds,
        )
    if lease is None:
        return None  # not due, or leased by another worker
    return run_leased(context, lease, lambda: _screen_leased(context, lease))


def _screen_leased(context: WorkerContext, lease: StudyLease) -> int | None:
    with context.sessions.begin() as session:
        series = study_series.run_series(session, lease.study_id)
        standing = study_series.standing_result(session, lease.study_id)
    run = StudyRun(context, lease, series)
    log.info("study_started", series=len(series), attempt=lease.attempt)
    try:
        if standing is not None and not _reopens(context, run, standing):
            _save_late(context, run, standing)
            return None
        return _save(context, run, run.screen(), standing)
    except (StudyChanged, Superseded):
        with context.sessions.begin() as session:
            study_results.supersede(session, lease, now=utc_now())
        log.info("study_superseded")
        return None


def _reopens(context: WorkerContext, run: StudyRun, standing: StandingResult) -> bool:
    """Return whether late series can change the result; not without all of its images."""
    used = [one for one in run.series if one.series_id in standing.series_ids]
    if len(used) < len(standing.series_ids) or not all(run.has_files(one) for one in used):
        return False  # arriving again, or removed by retention
    hours = context.settings.study_reopen_hours
    return reopens(run.ranking, run.series, standing, now=utc_now(), reopen_hours=hours)


def _save_late(context: WorkerContext, run: StudyRun, standing: StandingResult) -> None:
    ends = late_ends(run.ranking, run.series, standing)
    with context.sessions.begin() as session:
        study_results.save_unchanged(session, run.lease, ends, standing, now=utc_now())
    log.info("study_unchanged")


def _save(
    context: WorkerContext,
    run: StudyRun,
    screening: StudyScreening,
    standing: StandingResult | None,
) -> int | None:
    """Save the result; rank again where a series was added or changed meanwhile."""
    built = None if screening.result is None else _build(context, run, screening.result)
    for _ in range(MAX_RANKINGS):
        try:
            return _save_ranked(context, run, screening, built, standing)
        except StudyChanged:
            screening = run.screen_again(screening)
    raise Superseded


def _save_ranked(
    context: WorkerContext,
    run: StudyRun,
    screening: StudyScreening,
    built: Outputs | None,
    standing: StandingResult | None,
) -> int | None:
    if built is not None:
        used = used_series(built.screening, run.by_uid)
        is_standing = standing and standing.series_ids == {one.series_id for one in used}
        if standing is not None and is_standing and not any(one.is_new for one in used):
            _save_same(context, run, screening, standing)
            return None
        return _save_reported(context, run, screening, built)
    if screening.state == "failed":
        _save_failed(context, run, screening)
    else:
        _save_nothing(context, run, screening)
    return None


def _save_same(
    context: WorkerContext, run: StudyRun, screening: StudyScreening, standing: StandingResult
) -> None:
    """End the run with the standing result: the late series show no other side."""
    ends = ends_of_same(screening, run.series, standing)
    with context.sessions.begin() as session:
        study_results.save_unchanged(session, run.lease, ends, standing, now=utc_now())
    log.info("study_unchanged")


def _save_reported(
    context: WorkerContext, run: StudyRun, screening: StudyScreening, built: Outputs
) -> int | None:
    """Write the files, then all rows in one transaction: rows never name a missing file."""
    folder = _folder(context, run.lease)
    entry = outputs.write_files(
        built, lambda role: folder / FILE_NAMES[role], context.spool.write
    )
    destinations = [destination.name for destination in context.settings.destinations]
    objects = object_rows(built, folder, context.settings.spool_dir)
    kept = {one.sop_instance_uid for one in objects}
    withdrawals = superseded_by_study(context, run, kept=kept)
    result = built.screening
    best = run.by_uid[result.series_instance_uid]
    with context.sessions.begin() as session:
        withheld = decide(
            session,
            context.settings,
            result,
            series_id=best.series_id,
            screening_id=run.lease.screening_id,
        )
        decision = decision_json(withheld)
        entry |= decision
        of_study = study_json(run.lease.study_instance_uid, screening, entry["outputs"])
        _write_json(context, folder, entry, {**of_study, **decision})
        study_results.save_study(
            session,
            run.lease,
            ends_of(screening, run.series),
            best,
            NewResult(
                with_decision(screening_row(result, entry), withheld),
                [hip_row(hip, run.series_id_of(hip)) for hip in result.hips],
                objects,
                destinations,
                withdrawals,
                str(folder.relative_to(context.settings.spool_dir)),
            ),
            now=utc_now(),
        )
    mark_withdrawn(context, withdrawals)
    _note_reported(result, entry["grade"], withheld)
    record_predictions(context, run.lease.screening_id, result)
    return run.lease.screening_id if destinations and withheld is None else None


def _note_reported(result: Screening, grade: str | None, withheld: Withheld | None) -> None:
    count_screened(result, grade)
    log.info(
        "study_reported",
        grade=grade,
        series_instance_uid=result.series_instance_uid,
        not_delivered=count_decision(withheld),
    )


def _save_nothing(context: WorkerContext, run: StudyRun, screening: StudyScreening) -> None:
    reason = screening.reason or Reason(ReasonCode.UNDECODABLE, "The study has no images.")
    best, result = _most_telling(run, screening, reason)
    entry = to_json(result)
    folder = _folder(context, run.lease)
    of_study = study_json(run.lease.study_instance_uid, screening)
    _write_json(context, folder, entry, of_study)
    values = {
        "orientation": result.orientation,
        "timings_ms": dict(result.timings_ms),
        "warnings": list(result.warnings),
        "result": entry,
        "folder": str(folder.relative_to(context.settings.spool_dir)),
    }
    withdrawals = superseded_by_study(context, run)
    with context.sessions.begin() as session:
        study_results.save_nothing_to_report(
            session,
            run.lease,
            ends_of(screening, run.series),
            best,
            study_results.Rejection(reason.code.value, reason.text, values, withdrawals),
            now=utc_now(),
        )
    mark_withdrawn(context, withdrawals)
    REJECTIONS.labels(reason.code.value).inc()
    count_metrics("rejected", result)
    log.info("study_without_report", reason=reason.code.value)


def _most_telling(
    run: StudyRun, screening: StudyScreening, reason: Reason
) -> tuple[RunSeries, Rejected]:
    """Return the series that the reason of the study is taken from, and its result."""
    for one in screening.series:
        if one.reason == reason and one.series_instance_uid in run.by_uid:
            of_series = one.result if isinstance(one.result, Rejected) else None
            found = of_series or Rejected(one.series_instance_uid, reason)
            return run.by_uid[one.series_instance_uid], found
    first = run.series[0]
    return first, Rejected(first.series_instance_uid, reason)


def _save_failed(context: WorkerContext, run: StudyRun, screening: StudyScreening) -> None:
    errors = [one.error for one in screening.series if one.error is not None]
    withdrawals = [
        one
        for one in superseded_by_study(context, run)
        if one.reason is WithdrawalReason.WRONG_PATIENT
    ]
    with context.sessions.begin() as session:
        study_results.save_failed(
            session,
            run.lease,
            ends_of(screening, run.series),
            error=errors[0] if errors else "no series could be screened",
            now=utc_now(),
            withdrawals=withdrawals,
        )
    mark_withdrawn(context, withdrawals)
    SCREENINGS.labels("failed").inc()
    log.error("study_failed", error=errors[0] if errors else None)


def _build(context: WorkerContext, run: StudyRun, result: Screening) -> Outputs:
    used = used_series(result, run.by_uid)
    with context.sessions.begin() as session:
        replaced = history.study_predecessor(session, run.lease.study_id)
    return build_with_record(
        context,
        result,
        series_id=used[0].series_id,
        at=max(one.completed_at for one in used),
        replaced=replaced,
    )


def _write_json(
    context: WorkerContext, folder: Path, entry: Mapping[str, Any], study: Mapping[str, Any]
) -> None:
    """Write ``result.json`` with the result of the study, and ``study.json``."""
    for name, content in ((RESULT_JSON, entry), (STUDY_JSON, study)):
        context.spool.write(folder / name, [outputs.result_json([content])])


def _folder(context: WorkerContext, lease: StudyLease) -> Path:
    return study_results_folder(
        context.settings.spool_dir, lease.study_instance_uid, lease.revision
    )
