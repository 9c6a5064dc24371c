"""Outputs of a screening with what the record knows about the patient, and its metrics."""

from datetime import datetime

from pydicom import Dataset, dcmread

from common.metrics import SCREENINGS, STEP_SECONDS, WARNINGS
from db import history
from db.history import EarlierResult
from worker.context import WorkerContext
from worker.pipeline.results import Rejected, Screening
from worker.pipeline.warnings import topic_of
from worker.screening import outputs
from worker.screening.known_dxa import known_dxa
from worker.screening.outputs import OutputOptions, Outputs
from worker.screening.previous_results import to_previous_result

MAX_PREVIOUS = 5


def build_with_record(
    context: WorkerContext,
    result: Screening,
    *,
    series_id: int,
    at: datetime,
    replaced: EarlierResult | None,
) -> Outputs:
    """Build the outputs with the earlier results and the DXA results of the patient.

    ``at`` : time of completion, not the current time: a second run over the same instances
    writes the same bytes. ``replaced`` : the result whose report this one replaces.
    """
    with context.sessions.begin() as session:
        earlier = history.previous_results(session, series_id, limit=MAX_PREVIOUS)
        known = known_dxa(session, series_id)
    return outputs.build_outputs(
        result,
        at=at.astimezone(),
        options=OutputOptions(context.settings.sr_sop_class, context.settings.parametric_map),
        predecessor=_read_report(context, replaced),
        previous=[one for result in earlier if (one := to_previous_result(result))],
        dxa=known,
    )


def _read_report(context: WorkerContext, earlier: EarlierResult | None) -> Dataset | None:
    if earlier is None:
        return None
    report: Dataset = dcmread(context.settings.spool_dir / earlier.report.path)
    return report


def count_metrics(outcome: str, result: Screening | Rejected) -> None:
    """Count a run, its steps and its warnings."""
    SCREENINGS.labels(outcome).inc()
    for step, milliseconds in result.timings_ms.items():
        STEP_SECONDS.labels(step).observe(milliseconds / 1000)
    for warning in result.warnings:
        WARNINGS.labels(topic_of(warning)).inc()
