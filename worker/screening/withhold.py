"""Decision about the delivery of a report, by the settings and the record."""

from dataclasses import replace
from typing import Any

from common.metrics import WITHHELD
from common.settings.worker import WorkerSettings
from db import withheld
from db.models import Series
from db.outbox import NewScreening
from db.session import Session
from worker.pipeline.results import Grade, Screening
from worker.pipeline.validation.identity import identity_of
from worker.screening.delivery_policy import (
    DeliveredReport,
    DeliveryPolicy,
    Report,
    Withheld,
    why_withheld,
)
from worker.screening.withdrawal import names_same_patient


def decide(
    session: Session,
    settings: WorkerSettings,
    result: Screening,
    *,
    series_id: int,
    screening_id: int,
) -> Withheld | None:
    """Return why the report of a run is not delivered, None where it is.

    Call it in the transaction that saves the run, before any row is locked: the decision about
    another study of the patient then waits for the end of this transaction.
    """
    policy = DeliveryPolicy(settings.deliver, settings.repeat_months)
    series = session.get_one(Series, series_id)
    delivered: list[DeliveredReport] = []
    if policy.repeat_months and series.patient_id:
        withheld.lock_patient(session, series)
        identity = identity_of(result.headers)
        delivered = [
            DeliveredReport(one.study_date, None if one.grade is None else Grade(one.grade))
            for one in withheld.delivered_grades(
                session, series, within_months=policy.repeat_months
            )
            # Of two patients with one ID, the second gets a report of their own.
            if names_same_patient(settings.spool_dir, one.report_path, identity)
        ]
    replaces = withheld.has_delivered(session, screening_id)
    return why_withheld(Report(result, series.study_date, delivered, replaces), policy)


def with_decision(row: NewScreening, found: Withheld | None) -> NewScreening:
    """Return the row of a result with the decision about its delivery."""
    if found is None:
        return row
    return replace(row, not_delivered_code=found.code.value, not_delivered_text=found.text)


def count_decision(found: Withheld | None) -> str | None:
    """Count a decision that is saved in the metrics; return its code, for the log."""
    if found is None:
        return None
    WITHHELD.labels(found.code.value).inc()
    return found.code.value


def decision_json(found: Withheld | None) -> dict[str, Any]:
    """Return the entry of ``result.json`` and ``study.json`` about a withheld report."""
    if found is None:
        return {}
    return {"not_delivered": {"code": found.code.value, "text": found.text}}
