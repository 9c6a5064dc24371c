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
from worker.screening.delivery_policy import (
    DeliveredReport,
    DeliveryPolicy,
    Report,
    Withheld,
    why_withheld,
)


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
        delivered = [
            DeliveredReport(one.study_date, Grade(one.grade))
            for one in withheld.delivered_grades(
                session, series, within_months=policy.repeat_months
            )
        ]
    replaces = withheld.has_delivered(session, screening_id)
    return why_withheld(Report(result, series.study_date, delivered, replaces), policy)


def with_decision(row: NewScreening, found: Withheld | None) -> NewScreening:
    """Return the row of a result with the decision about its delivery."""
    if found is None:
        return row
    return replace(row, not_delivered_code=found.code.value, not_delivered_text=found.text)


def code_of(found: Withheld | None) -> str | None:
    """Return the code of a decision, for logs."""
    return None if found is None else found.code.value


def count(found: Withheld | None) -> None:
    """Count a report that is not delivered."""
    if found is not None:
        WITHHELD.labels(found.code.value).inc()


def decision_json(found: Withheld | None) -> dict[str, Any]:
    """Return the entry of ``result.json`` and ``study.json`` about a withheld report."""
    if found is None:
        return {}
    return {"not_delivered": {"code": found.code.value, "text": found.text}}
