"""Erasure of a patient from every table, by the owner of the tables.

The triggers of the append-only tables are off within the transaction alone. The access log
keeps who looked when, without what was seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from socket import gethostname
from typing import Literal

from sqlalchemy import (
    ColumnElement,
    Delete,
    Text,
    Update,
    and_,
    cast,
    delete,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.audit import note
from db.models import (
    Access,
    AuditMessage,
    Delivery,
    DxaResult,
    Event,
    Feedback,
    HeldInstance,
    HipResult,
    Instance,
    ResultObject,
    Screening,
    Series,
    ShadowHipResult,
    Study,
    StudyEvent,
)
from db.states import REOPENED, STUDY_FINISHED

APPEND_ONLY = ("access", "dxa_result", "event", "feedback", "study_event")


class RecordChanged(Exception):
    """What is on record of the patient is not what was found before."""


@dataclass(frozen=True, slots=True)
class PatientRecord:
    """What is on record of a patient.

    ``others`` : Study Instance UIDs with a series of another patient as well; ``open`` : those
    with a series, run or delivery in progress.
    """

    patient_id: str
    study_ids: tuple[int, ...]
    study_uids: tuple[str, ...]
    series: int
    results: int
    dxa_results: int
    others: tuple[str, ...]
    open: tuple[str, ...]


def find_patient(
    session: Session, patient_id: str, issuer: str | None, *, now: datetime
) -> PatientRecord:
    """Return what is on record of a patient; ``issuer`` None: of any issuer."""
    mine = _is_patient(Series, patient_id, issuer)
    studies = session.execute(
        select(Study.id, Study.study_instance_uid)
        .where(Study.id.in_(select(Series.study_id).where(mine)))
        .order_by(Study.id)
    ).all()
    ids = [one.id for one in studies]
    in_studies = Series.study_id.in_(ids)

    def count(of: InstrumentedAttribute[int], *where: ColumnElement[bool]) -> int:
        return session.scalar(select(func.count(of)).where(*where)) or 0

    return PatientRecord(
        patient_id,
        tuple(ids),
        tuple(one.study_instance_uid for one in studies),
        count(Series.id, in_studies),
        count(Screening.id, Screening.id.in_(_screening_ids(ids))),
        count(DxaResult.id, _is_patient(DxaResult, patient_id, issuer)),
        _study_uids(session, in_studies, ~func.coalesce(mine, False)),
        _study_uids(session, in_studies, _is_open(now)),
    )


def erase_patient(
    session: Session, found: PatientRecord, issuer: str | None, *, by: str, now: datetime
) -> None:
    """Delete every row of a patient; report each study to the audit record repository.

    Raises RecordChanged if an instance has arrived, or a run has begun, since ``found``.
    """
    _set_triggers(session, "DISABLE")  # every change of a state waits for its lock
    if find_patient(session, found.patient_id, issuer, now=now) != found:
        raise RecordChanged(f"the record has changed after {now.isoformat(timespec='seconds')}")
    for statement in erasing_statements(found, issuer):
        session.execute(statement.execution_options(synchronize_session=False))
    _set_triggers(session, "ENABLE")
    named = {"service": "operator", "host": gethostname(), "user": by}
    for uid in found.study_uids:
        named_study = {"study_instance_uid": uid, "patient_id": found.patient_id}
        note(session, "deleted", at=now, **named_study, **named)


def erasing_statements(found: PatientRecord, issuer: str | None) -> Iterator[Delete | Update]:
    """Yield the deletions of a patient, each before those of the rows that it refers to."""
    studies = found.study_ids
    series = select(Series.id).where(Series.study_id.in_(studies)).scalar_subquery()
    runs = _screening_ids(studies)
    for of_run in (Delivery, ResultObject, HipResult, ShadowHipResult, Feedback):
        yield delete(of_run).where(of_run.screening_id.in_(runs))
    yield delete(Screening).where(Screening.id.in_(runs))
    for of_series in (Event, Instance, HeldInstance):
        yield delete(of_series).where(of_series.series_id.in_(series))
    yield update(Access).where(Access.series_id.in_(series)).values(series_id=None)
    yield delete(Series).where(Series.study_id.in_(studies))
    yield delete(StudyEvent).where(StudyEvent.study_id.in_(studies))
    yield delete(Study).where(Study.id.in_(studies))
    yield delete(DxaResult).where(_is_patient(DxaResult, found.patient_id, issuer))
    yield delete(AuditMessage).where(_is_sent_message(found))


def _set_triggers(session: Session, action: Literal["DISABLE", "ENABLE"]) -> None:
    """Turn the triggers of the append-only tables off or on; others wait for this lock."""
    for table in APPEND_ONLY:
        trigger = f"{table}_is_append_only"
        session.execute(text(f"ALTER TABLE {table} {action} TRIGGER {trigger}"))


def _is_patient(
    table: type[Series | DxaResult], patient_id: str, issuer: str | None
) -> ColumnElement[bool]:
    of_issuer = () if issuer is None else (table.issuer_of_patient_id == issuer,)
    return and_(table.patient_id == patient_id, *of_issuer)


def _screening_ids(study_ids: Sequence[int]) -> ColumnElement[int]:
    of_studies = select(Series.id).where(Series.study_id.in_(study_ids))
    return (
        select(Screening.id)
        .where(or_(Screening.series_id.in_(of_studies), Screening.study_id.in_(study_ids)))
        .scalar_subquery()
    )


def _study_uids(session: Session, *where: ColumnElement[bool]) -> tuple[str, ...]:
    found = (
        select(Series.study_instance_uid)
        .join(Study, Study.id == Series.study_id)
        .where(*where)
        .distinct()
        .order_by(Series.study_instance_uid)
    )
    return tuple(session.scalars(found))


def _is_open(now: datetime) -> ColumnElement[bool]:
    """Return whether something is about to be written of a series and its study."""
    runs = select(Screening.id).where(Screening.series_id == Series.id)
    delivering = Delivery.screening_id.in_(runs), Delivery.lease_until > now
    return or_(
        Series.state.in_(REOPENED),
        and_(Study.state.is_not(None), Study.state.not_in(STUDY_FINISHED)),
        runs.where(Screening.finished_at.is_(None)).exists(),
        select(Delivery.id).where(*delivering).exists(),
    )


def _is_sent_message(found: PatientRecord) -> ColumnElement[bool]:
    detail = AuditMessage.detail
    return and_(
        AuditMessage.sent_at.is_not(None),
        or_(
            detail["study_instance_uid"].astext.in_(found.study_uids),
            # Of an export: its other patients are in the audit record repository.
            detail["studies"].has_any(cast(list(found.study_uids), ARRAY(Text))),
            detail["query"].astext == found.patient_id,
        ),
    )
