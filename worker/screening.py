"""One due series: lease → pipeline → files → rows. The I/O around the pipeline."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from pydicom import Dataset, dcmread
from sqlalchemy.exc import OperationalError

from db import lease as leases
from db import outbox, overview
from db.lease import Lease, LeaseLost
from db.models import Hip as HipRow
from db.models import Series
from db.overview import EarlierResult
from db.spool import SeriesKey, list_instances, results_folder
from db.telemetry import GRADES, REJECTIONS, SCREENINGS, STEP_SECONDS, WARNINGS, get_logger
from worker import outputs
from worker.candidate import record_opinions
from worker.errors import describe, stack_of
from worker.heartbeat import Heartbeat, fail
from worker.outputs import FileRole, Form, Outputs
from worker.pipeline.cautions import topic_of
from worker.pipeline.previous import PreviousHip, PreviousResult
from worker.pipeline.result_json import to_json
from worker.pipeline.results import (
    Grade,
    Hip,
    NeckAttenuation,
    Rejected,
    Screening,
)
from worker.pipeline.screen import screen
from worker.workshop import Workshop, utc_now

FILE_NAMES: Mapping[FileRole, str] = {
    "sr": "sr.dcm", "sc": "sc.dcm", "pm": "pm.dcm", "png": "sc.png",
}  # fmt: skip
RESULT_JSON = "result.json"
MAX_PREVIOUS = 5

log = get_logger(__name__)


def screen_series(workshop: Workshop, series_id: int) -> int | None:
    """Screen a series if it is due; the id of a screening whose deliveries are now due.

    What goes wrong is recorded on the series, which decides about another attempt. Raises only
    OperationalError, when the database is away; then the lease runs out and the series is due
    again.
    """
    with workshop.sessions.begin() as session:
        lease = leases.lease_series(
            session,
            series_id,
            leased_by=workshop.name,
            now=utc_now(),
            lease_seconds=workshop.settings.lease_seconds,
        )
    if lease is None:
        return None  # somebody else has it or had it: the message was only a nudge
    with structlog.contextvars.bound_contextvars(
        series_instance_uid=lease.series_instance_uid,
        revision=lease.revision,
        correlation_id=lease.correlation_id,
    ):
        try:
            with Heartbeat(workshop, lease):
                return _screen_leased(workshop, lease)
        except LeaseLost:
            log.warning("result_discarded", screening_id=lease.screening_id)
        except OperationalError:
            raise
        except Exception as error:
            # A process boundary: whatever a strange series breaks must not stop the worker.
            log.error("screening_failed", error=describe(error), stack=stack_of(error))
            SCREENINGS.labels("failed").inc()
            with suppress(LeaseLost):
                fail(workshop, lease, describe(error))
    return None


def _screen_leased(workshop: Workshop, lease: Lease) -> int | None:
    key = SeriesKey(lease.study_instance_uid, lease.series_instance_uid)
    paths = list_instances(workshop.settings.spool_dir, key)
    if not paths:
        raise FileNotFoundError("the spool holds no instances of this series")
    log.info("screening_started", instances=len(paths), attempt=lease.attempt)
    result = screen(paths, workshop.load_model())
    folder = results_folder(workshop.settings.spool_dir, key, lease.revision)
    if isinstance(result, Rejected):
        _save_rejected(workshop, lease, result, folder)
        return None
    return _save_screened(workshop, lease, result, folder)


def _save_rejected(workshop: Workshop, lease: Lease, result: Rejected, folder: Path) -> None:
    entry = to_json(result)
    workshop.spool.write(folder / RESULT_JSON, [outputs.result_json([entry])])
    with workshop.sessions.begin() as session:
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
    REJECTIONS.labels(result.reason.code.value).inc()
    _count("rejected", result)
    log.info("series_rejected", reason=result.reason.code.value)


def _save_screened(
    workshop: Workshop, lease: Lease, result: Screening, folder: Path
) -> int | None:
    """Files first, then all rows in one transaction: rows never promise what is not there."""
    built = _build(workshop, lease, result)
    entry = outputs.write_files(
        built, lambda role: folder / FILE_NAMES[role], workshop.spool.write
    )
    workshop.spool.write(folder / RESULT_JSON, [outputs.result_json([entry])])
    destinations = [destination.name for destination in workshop.settings.destinations]
    with workshop.sessions.begin() as session:
        outbox.save_screening(
            session,
            lease,
            _screening_row(built.screening, entry),
            [_hip_row(hip) for hip in built.screening.hips],
            _object_rows(built, folder, workshop.settings.spool_dir),
            destinations,
            now=utc_now(),
        )
    GRADES.labels(entry["grade"]).inc()
    _count("screened", built.screening)
    log.info("series_screened", grade=entry["grade"])
    record_opinions(workshop, lease.screening_id, built.screening)
    return lease.screening_id if destinations else None


def _build(workshop: Workshop, lease: Lease, result: Screening) -> Outputs:
    with workshop.sessions.begin() as session:
        series = session.get_one(Series, lease.series_id)
        earlier = overview.previous_results(session, lease.series_id, limit=MAX_PREVIOUS)
        replaced = overview.predecessor(session, lease.series_id, revision=lease.revision)
    return outputs.build_outputs(
        result,
        # Not "now": a second run over the same revision writes the same bytes.
        at=(series.completed_at or series.created_at).astimezone(),
        form=Form(workshop.settings.sr_sop_class, workshop.settings.parametric_map),
        predecessor=_read_report(workshop, replaced),
        previous=[one for result in earlier if (one := _previous(result)) is not None],
    )


def _read_report(workshop: Workshop, earlier: EarlierResult | None) -> Dataset | None:
    if earlier is None:
        return None
    report: Dataset = dcmread(workshop.settings.spool_dir / earlier.report.path)
    return report


def _previous(earlier: EarlierResult) -> PreviousResult | None:
    run = earlier.screening
    if earlier.study_date is None or run.grade is None:
        return None
    return PreviousResult(
        study_date=earlier.study_date,
        grade=Grade(run.grade),
        model_name=run.model_name or "",
        model_version=run.model_version or "",
        model_sha256=run.model_sha256 or "",
        hips={hip.side: _previous_hip(hip) for hip in earlier.hips},
    )


def _previous_hip(row: HipRow) -> PreviousHip:
    probabilities = {
        Grade.NORMAL: row.probability_normal,
        Grade.OSTEOPENIA: row.probability_osteopenia,
        Grade.OSTEOPOROSIS: row.probability_osteoporosis,
    }
    known = {grade: value for grade, value in probabilities.items() if value is not None}
    return PreviousHip(
        grade=None if row.grade is None else Grade(row.grade),
        probabilities=known if len(known) == len(Grade) else None,
        neck_hu=row.neck_hu,
    )


def _screening_row(result: Screening, entry: Mapping[str, Any]) -> outbox.NewScreening:
    return outbox.NewScreening(
        orientation=result.orientation,
        grade=entry["grade"],
        model_name=result.model.name,
        model_version=result.model.version,
        model_modality=result.model.modality,
        model_training_data=result.model.training_data,
        model_sha256=result.model.sha256,
        result=entry,
        warnings=result.warnings,
        timings_ms=result.timings_ms,
    )


def _hip_row(hip: Hip) -> outbox.NewHip:
    probabilities = hip.probabilities or {}
    neck = hip.neck if isinstance(hip.neck, NeckAttenuation) else None
    x_mm, y_mm, z_mm = hip.femur.center_mm if hip.femur else (None, None, None)
    return outbox.NewHip(
        side=hip.side,
        state=hip.state,
        reason_code=hip.reason.code.value if hip.reason else None,
        reason_text=hip.reason.text if hip.reason else None,
        grade=hip.grade.value if hip.grade else None,
        probability_normal=_float(probabilities.get(Grade.NORMAL)),
        probability_osteopenia=_float(probabilities.get(Grade.OSTEOPENIA)),
        probability_osteoporosis=_float(probabilities.get(Grade.OSTEOPOROSIS)),
        neck_hu=_float(neck.mean_hu) if neck else None,
        neck_sd_hu=_float(neck.sd_hu) if neck else None,
        center_x_mm=_float(x_mm),
        center_y_mm=_float(y_mm),
        center_z_mm=_float(z_mm),
    )


def _float(value: float | None) -> float | None:
    # numpy's floats are not what the database driver adapts.
    return None if value is None else float(value)


def _object_rows(built: Outputs, folder: Path, spool_dir: Path) -> list[outbox.NewObject]:
    rows = [
        _object_row("sr", built.sr, folder, spool_dir),
        _object_row("sc", built.sc, folder, spool_dir),
    ]
    if built.pm is not None:
        rows.append(_object_row("pm", built.pm, folder, spool_dir))
    return rows


def _object_row(
    role: outbox.Role, ds: Dataset, folder: Path, spool_dir: Path
) -> outbox.NewObject:
    return outbox.NewObject(
        role=role,
        sop_class_uid=str(ds.SOPClassUID),
        sop_instance_uid=str(ds.SOPInstanceUID),
        series_instance_uid=str(ds.SeriesInstanceUID),
        path=str((folder / FILE_NAMES[role]).relative_to(spool_dir)),
    )


def _count(outcome: str, result: Screening | Rejected) -> None:
    SCREENINGS.labels(outcome).inc()
    for step, milliseconds in result.timings_ms.items():
        STEP_SECONDS.labels(step).observe(milliseconds / 1000)
    for warning in result.warnings:
        WARNINGS.labels(topic_of(warning)).inc()
