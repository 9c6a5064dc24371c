"""Screening of one due series: lease, pipeline, files, rows.

All I/O around the pure pipeline is here.
"""

from collections.abc import Sequence
from pathlib import Path

from common.logging import get_logger
from common.metrics import REJECTIONS
from common.spool.layout import SeriesKey, list_instances, results_folder
from db import history, leases, outbox
from db.leases import Lease
from db.models import Series
from db.transition import ChangedBy
from db.withdrawal import lock_deliveries, withdraw_all
from worker.context import WorkerContext, utc_now
from worker.errors import incomplete
from worker.models.candidate import record_predictions
from worker.pipeline.result_json import to_json
from worker.pipeline.results import Rejected, Screening
from worker.pipeline.screen import screen
from worker.pipeline.validation.identity import identity_of
from worker.screening import outputs
from worker.screening.build import build_with_record, count_metrics, count_screened
from worker.screening.lease import run_leased
from worker.screening.rows import FILE_NAMES, hip_row, object_rows, screening_row
from worker.screening.superseded import (
    identity_of_files,
    mark_withdrawn,
    superseded_by_series,
)
from worker.screening.withhold import count_decision, decide, decision_json, with_decision

RESULT_JSON = "result.json"

log = get_logger(__name__)


def screen_series(context: WorkerContext, series_id: int) -> int | None:
    """Screen a series if it is due; return the screening id if its deliveries are due now.

    Errors are recorded on the series, which decides about another attempt. Raises only
    DatabaseUnavailable; the lease then expires and the series becomes due again.
    """
    with context.sessions.begin() as session:
        lease = leases.lease_series(
            session,
            series_id,
            leased_by=context.name,
            now=utc_now(),
            lease_seconds=context.settings.lease_seconds,
        )
    if lease is None:
        return None  # not due, or leased by another worker
    return run_leased(context, lease, lambda: _screen_leased(context, lease))


def _screen_leased(context: WorkerContext, lease: Lease) -> int | None:
    key = SeriesKey(lease.study_instance_uid, lease.series_instance_uid)
    paths = list_instances(context.settings.spool_dir, key)
    if len(paths) < max(1, lease.instance_count):
        raise FileNotFoundError(incomplete(len(paths), lease.instance_count))
    log.info("screening_started", instances=len(paths), attempt=lease.attempt)
    result = screen(
        paths,
        context.load_model(),
        refused=lease.refused_count,
        patients=context.patient_rules(),
    )
    folder = results_folder(context.settings.spool_dir, key, lease.revision)
    if isinstance(result, Rejected):
        _save_rejected(context, lease, result, folder, paths)
        return None
    return _save_screened(context, lease, result, folder)


def _save_rejected(
    context: WorkerContext, lease: Lease, result: Rejected, folder: Path, paths: Sequence[Path]
) -> None:
    entry = to_json(result)
    context.spool.write(folder / RESULT_JSON, [outputs.result_json([entry])])
    withdrawals = superseded_by_series(context, lease, lambda: identity_of_files(paths))
    with context.sessions.begin() as session:
        lock_deliveries(session, withdrawals)
        leases.finish_rejected(
            session,
            lease,
            reason_code=result.reason.code.value,
            reason_text=result.reason.text,
            now=utc_now(),
            run_values={
                "orientation": result.orientation,
                "timings_ms": dict(result.timings_ms),
                "warnings": list(result.warnings),
                "result": entry,
            },
        )
        withdraw_all(session, withdrawals, ChangedBy(lease.leased_by, utc_now()))
    mark_withdrawn(context, withdrawals)
    REJECTIONS.labels(result.reason.code.value).inc()
    count_metrics("rejected", result)
    log.info("series_rejected", reason=result.reason.code.value)


def _build(context: WorkerContext, lease: Lease, result: Screening) -> outputs.Outputs:
    with context.sessions.begin() as session:
        series = session.get_one(Series, lease.series_id)
        replaced = history.predecessor(session, lease.series_id, revision=lease.revision)
    return build_with_record(
        context,
        result,
        series_id=lease.series_id,
        at=series.completed_at or series.created_at,
        replaced=replaced,
    )


def _save_screened(
    context: WorkerContext, lease: Lease, result: Screening, folder: Path
) -> int | None:
    """Write the files, then all rows in one transaction: rows never name a missing file.

    ``result.json`` holds the decision about the delivery, which needs the record: it is written
    in the transaction, before its end.
    """
    built = _build(context, lease, result)
    entry = outputs.write_files(
        built, lambda role: folder / FILE_NAMES[role], context.spool.write
    )
    destinations = [destination.name for destination in context.settings.destinations]
    objects = object_rows(built, folder, context.settings.spool_dir)
    kept = {one.sop_instance_uid for one in objects}
    withdrawals = superseded_by_series(
        context, lease, lambda: identity_of(result.headers), kept=kept
    )
    with context.sessions.begin() as session:
        withheld = decide(
            session,
            context.settings,
            built.screening,
            series_id=lease.series_id,
            screening_id=lease.screening_id,
        )
        entry |= decision_json(withheld)
        context.spool.write(folder / RESULT_JSON, [outputs.result_json([entry])])
        outbox.save_screening(
            session,
            lease,
            outbox.NewResult(
                with_decision(screening_row(built.screening, entry), withheld),
                [hip_row(hip) for hip in built.screening.hips],
                objects,
                destinations,
                withdrawals,
            ),
            now=utc_now(),
        )
    mark_withdrawn(context, withdrawals)
    count_screened(built.screening, entry["grade"])
    log.info("series_screened", grade=entry["grade"], not_delivered=count_decision(withheld))
    record_predictions(context, lease.screening_id, built.screening)
    return lease.screening_id if destinations and withheld is None else None
