"""Outputs of a screening with what the record knows about the patient, and its metrics."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path

from pydicom import Dataset

from common.metrics import GRADES, NO_GRADE, SCREENINGS, STEP_SECONDS, WARNINGS
from db import history
from db.history import EarlierResult
from db.models import Series
from db.withdrawal_lookup import withdrawn_object_uids
from worker.context import WorkerContext
from worker.pipeline.patient_history import PatientHistory
from worker.pipeline.results import Rejected, Screening
from worker.pipeline.validation.identity import Identity, identity_of
from worker.pipeline.warnings import topic_of
from worker.screening import outputs
from worker.screening.known_dxa import known_dxa
from worker.screening.outputs import OutputOptions, Outputs
from worker.screening.previous_results import to_previous_result
from worker.screening.withdrawal import names_same_patient, read_report

MAX_PREVIOUS = 5
MAX_CANDIDATES = 50
"""Results with the same Patient ID whose reports are read until ``MAX_PREVIOUS`` agree."""


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
    writes the same bytes. ``replaced`` : the result whose report this one replaces, its
    predecessor if it is of the same patient.
    """
    with context.sessions.begin() as session:
        earlier = history.previous_results(session, series_id, limit=MAX_CANDIDATES)
        uid = session.get_one(Series, series_id).study_instance_uid
        withdrawn = withdrawn_object_uids(session, uid)
        known = known_dxa(session, series_id)
    identity = identity_of(result.headers)
    quoted = _of_same_patient(context.settings.spool_dir, earlier, identity)
    replaced = next(
        _of_same_patient(context.settings.spool_dir, [replaced] if replaced else [], identity),
        None,
    )
    found = (to_previous_result(one) for one in quoted)
    previous = islice((one for one in found if one is not None), MAX_PREVIOUS)
    return outputs.build_outputs(
        result,
        at=at.astimezone(),
        options=OutputOptions(
            context.settings.sr_sop_class,
            context.settings.parametric_map,
            context.settings.key_objects,
        ),
        predecessor=_read_report(context, replaced),
        history=PatientHistory(tuple(previous), known),
        withdrawn=withdrawn,
    )


def _of_same_patient(
    spool_dir: Path, earlier: Iterable[EarlierResult], identity: Identity
) -> Iterator[EarlierResult]:
    """Yield the earlier results whose report names the same patient.

    The record has neither name nor birth date; the report in the spool has. A result without a
    readable report is left out.
    """
    for one in earlier:
        if names_same_patient(spool_dir, one.report.path, identity):
            yield one


def _read_report(context: WorkerContext, earlier: EarlierResult | None) -> Dataset | None:
    if earlier is None:
        return None
    return read_report(context.settings.spool_dir, earlier.report.path)


def count_screened(result: Screening, grade: str | None) -> None:
    """Count a run with a result, its grade, its steps and its warnings."""
    GRADES.labels(grade or NO_GRADE).inc()
    count_metrics("screened", result)


def count_metrics(outcome: str, result: Screening | Rejected) -> None:
    """Count a run, its steps and its warnings."""
    SCREENINGS.labels(outcome).inc()
    for step, milliseconds in result.timings_ms.items():
        STEP_SECONDS.labels(step).observe(milliseconds / 1000)
    for warning in result.warnings:
        WARNINGS.labels(topic_of(warning)).inc()
