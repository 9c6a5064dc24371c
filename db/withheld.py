"""Results that the screening policy does not deliver: their basis, and their later delivery."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, func, insert, select
from sqlalchemy.orm import Session

from db.models import Delivery, ResultObject, Screening, Series
from db.states import DeliveryState, RunOutcome

LONGEST_MONTH_DAYS = 31
AT_DESTINATION = (DeliveryState.DUE, DeliveryState.SENT, DeliveryState.CONFIRMED)


@dataclass(frozen=True, slots=True)
class DeliveredGrade:
    """The grade of a delivered report, None of one without a graded hip.

    ``report_path`` of its SR, relative to the spool.
    """

    study_date: date
    grade: str | None
    report_path: str = field(default="", compare=False)


def lock_patient(session: Session, series: Series) -> None:
    """Keep other runs over the same patient from ending before this transaction ends.

    Of two studies that end at the same time, the second then sees the report of the first.
    Call it before any row is locked.
    """
    key = f"{series.patient_id}\n{series.issuer_of_patient_id or ''}"
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))


def delivered_grades(
    session: Session, series: Series, *, within_months: int
) -> list[DeliveredGrade]:
    """Return the grades of delivered reports of the patient on other studies.

    Patient ID and issuer must match, and the sex where both are known; the caller compares the
    rest of the identity: the record has neither name nor birth date. The newest delivered
    report of each study counts; one that every destination refused does not. May return some
    of a few days more than ``within_months`` before or after the study.
    """
    if not series.patient_id or series.study_date is None:
        return []
    days = timedelta(days=LONGEST_MONTH_DAYS * within_months)
    newest_of_each_study = (
        select(func.max(Screening.id))
        .join(Series, Series.id == Screening.series_id)
        .where(
            Series.patient_id == series.patient_id,
            Series.issuer_of_patient_id.is_not_distinct_from(series.issuer_of_patient_id),
            func.coalesce(Series.patient_sex, series.patient_sex, "")
            == func.coalesce(series.patient_sex, Series.patient_sex, ""),
            Series.study_instance_uid != series.study_instance_uid,
            Series.study_date.between(series.study_date - days, series.study_date + days),
            Screening.outcome == RunOutcome.SCREENED,
            _is_delivered(),
        )
        .group_by(Series.study_instance_uid)
    )
    rows = session.execute(
        select(Series.study_date, Screening.grade, ResultObject.path)
        .join(Series, Series.id == Screening.series_id)
        .join(
            ResultObject,
            and_(ResultObject.screening_id == Screening.id, ResultObject.role == "sr"),
        )
        .where(Screening.id.in_(newest_of_each_study))
        .order_by(Screening.id)
    )
    return [DeliveredGrade(day, grade, path) for day, grade, path in rows if day]


def count_withheld(session: Session) -> dict[str, int]:
    """Return the number of results that are not delivered, by the code of the policy.

    Reads all runs: for a command, not for a periodic task.
    """
    rows = session.execute(
        select(Screening.not_delivered_code, func.count())
        .where(Screening.not_delivered_code.is_not(None), Screening.withdrawn_at.is_(None))
        .group_by(Screening.not_delivered_code)
    )
    return {code: count for code, count in rows if code is not None}


def has_delivered(session: Session, screening_id: int) -> bool:
    """Return whether an earlier report of the study or series of a run is sent or due."""
    run = session.get_one(Screening, screening_id)
    of_same = Screening.series_id == run.series_id
    if run.study_id is not None:
        of_same = Screening.study_id == run.study_id
    found = select(Screening.id).where(of_same, _is_delivered()).limit(1)
    return session.scalar(found) is not None


def release(
    session: Session,
    newest: Screening | None,
    destinations: Sequence[str],
    *,
    now: datetime,
) -> int:
    """Make a withheld result due at every destination; return the number of deliveries.

    ``newest`` : the newest graded run of a series or study; older ones are never delivered.
    """
    if newest is None or newest.not_delivered_code is None or not destinations:
        return 0
    if newest.withdrawn_at is not None:
        return 0
    objects = session.scalars(
        select(ResultObject.id).where(ResultObject.screening_id == newest.id)
    ).all()
    session.execute(
        insert(Delivery),
        [
            {
                "screening_id": newest.id,
                "object_id": object_id,
                "destination": destination,
                "state": DeliveryState.DUE,
                "next_attempt_at": now,
            }
            for object_id in objects
            for destination in destinations
        ],
    )
    newest.not_delivered_code = newest.not_delivered_text = None
    return len(objects) * len(destinations)


def _is_delivered() -> ColumnElement[bool]:
    """Return the condition that a report stands at a destination, or is due there."""
    at_destination = exists().where(
        Delivery.screening_id == Screening.id, Delivery.state.in_(AT_DESTINATION)
    )
    return and_(Screening.withdrawn_at.is_(None), at_destination)
