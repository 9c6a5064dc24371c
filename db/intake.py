"""Register what has been received: a series with all its instances, in bulk, as a revision."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import Literal

from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import Instance, Screening, Series
from db.states import RunOutcome, SeriesState
from db.telemetry import new_correlation_id
from db.transition import By, append_event, move_series

CompletedBy = Literal["quiet", "released", "scan", "count"]
"""Evidence: nothing for the quiet period; nothing for the shorter one after the last sender
released its association; found on disk without having been seen to arrive; as many instances
as the PACS counts."""

UNFINISHED = (SeriesState.QUEUED, SeriesState.SCREENING)


@dataclass(frozen=True, slots=True)
class NewInstance:
    """One file of the spool. ``sha256`` is of the encoded data set without its file meta."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    sha256: str
    bytes: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """Demographics and CT facts from the headers; None where the header is silent."""

    patient_id: str | None = None
    issuer_of_patient_id: str | None = None
    patient_sex: str | None = None
    patient_age_years: float | None = None
    patient_size_m: float | None = None
    patient_weight_kg: float | None = None
    study_date: date | None = None
    accession_number: str | None = None
    series_number: int | None = None
    series_description: str | None = None
    body_part_examined: str | None = None
    manufacturer: str | None = None
    manufacturer_model_name: str | None = None
    convolution_kernel: str | None = None
    kvp: float | None = None
    slice_thickness_mm: float | None = None


@dataclass(frozen=True, slots=True)
class CompletedSeries:
    """A series that was judged complete, as it lies in the spool."""

    study_instance_uid: str
    series_instance_uid: str
    instances: tuple[NewInstance, ...]
    facts: SeriesFacts
    completed_by: CompletedBy
    calling_ae_title: str | None
    spool_mtime_ns: int
    """Modification time of the folder before it was read; tells the scan what is new."""
    expected_count: int | None = None
    """What a PACS counted, if one was asked and answered."""
    correlation_id: str | None = None
    """Of the association that began it; None where it was not seen to arrive."""


@dataclass(frozen=True, slots=True)
class Registered:
    """``changed``: this call made a new revision, which is queued and wants a nudge."""

    series_id: int
    revision: int
    changed: bool
    correlation_id: str | None


def content_sha256(instances: Iterable[NewInstance]) -> str:
    """The digest of a revision: the same instances in any order have the same one."""
    lines = sorted(
        f"{one.sop_instance_uid} {one.transfer_syntax_uid} {one.sha256}\n" for one in instances
    )
    return hashlib.sha256("".join(lines).encode("ascii")).hexdigest()


def open_series(
    session: Session,
    study_instance_uid: str,
    series_instance_uid: str,
    *,
    calling_ae_title: str | None,
    now: datetime,
    actor: str,
    correlation_id: str | None = None,
) -> int:
    """Note that instances are arriving: what waits or is screened is *receiving* again.

    A finished series stays as it is until ``register_revision`` knows its content: the same
    instances sent again, after retention removed them, are nothing new.
    """
    by = By(actor, now)
    series = _insert_or_lock(session, study_instance_uid, series_instance_uid, by)
    if series.calling_ae_title is None:
        series.calling_ae_title = calling_ae_title
    if series.state in UNFINISHED:
        _reopen(session, series, by)
    if series.state is SeriesState.RECEIVING:
        # Should this process die, the scan registers the series under this one.
        series.correlation_id = correlation_id or series.correlation_id
    return series.id


def register_revision(
    session: Session, completed: CompletedSeries, *, now: datetime, actor: str
) -> Registered:
    """Make a complete series due. The same content again changes nothing, nor does a part of
    it: retention may have been interrupted, or some instances may come again after it.

    New or changed content becomes the next revision and is queued; a run over the former
    revision is void. One statement writes all instances.
    """
    by = By(actor, now)
    series = _insert_or_lock(
        session, completed.study_instance_uid, completed.series_instance_uid, by
    )
    digest = content_sha256(completed.instances)
    if series.state is not SeriesState.RECEIVING and (
        series.content_sha256 == digest or _all_known(session, series.id, completed.instances)
    ):
        series.spool_mtime_ns = completed.spool_mtime_ns
        return Registered(
            series.id, series.revision, changed=False, correlation_id=series.correlation_id
        )
    opened_as = series.correlation_id if series.state is SeriesState.RECEIVING else None
    correlation_id = completed.correlation_id or opened_as or new_correlation_id()
    _reopen(session, series, by)
    revision = series.revision + (series.content_sha256 != digest)
    _upsert_instances(session, series.id, revision, completed.instances)
    received = [one.received_at for one in completed.instances]
    move_series(
        session,
        series.id,
        SeriesState.RECEIVING,
        SeriesState.QUEUED,
        by,
        values={
            **asdict(completed.facts),
            "revision": revision,
            "attempts": 0,
            "next_attempt_at": now,
            "reason_code": None,
            "reason_text": None,
            "error": None,
            "instance_count": len(completed.instances),
            "total_bytes": sum(one.bytes for one in completed.instances),
            "content_sha256": digest,
            "completed_by": completed.completed_by,
            "expected_count": completed.expected_count,
            "completed_at": now,
            "last_received_at": max(received, default=None),
            "spool_mtime_ns": completed.spool_mtime_ns,
            "calling_ae_title": completed.calling_ae_title,
            "correlation_id": correlation_id,
        },
        detail={
            "completed_by": completed.completed_by,
            "instances": len(received),
            "expected": completed.expected_count,
            "correlation_id": correlation_id,
        },
    )
    return Registered(series.id, revision, changed=True, correlation_id=correlation_id)


def registered_mtimes(session: Session) -> dict[tuple[str, str], int]:
    """(study, series UID) → folder modification time in ns at registration, of all series.

    A series that is *receiving* is left out: it has not been registered as it is now.
    """
    rows = session.execute(
        select(
            Series.study_instance_uid, Series.series_instance_uid, Series.spool_mtime_ns
        ).where(Series.spool_mtime_ns.is_not(None), Series.state != SeriesState.RECEIVING)
    )
    return {(study, series): mtime_ns for study, series, mtime_ns in rows if mtime_ns}


def _insert_or_lock(session: Session, study: str, series: str, by: By) -> Series:
    """The row of the series, locked until the transaction ends; inserted when it is new."""
    inserted = session.scalars(
        insert(Series)
        .values(
            study_instance_uid=study,
            series_instance_uid=series,
            state=SeriesState.RECEIVING,
            created_at=by.at,
            changed_at=by.at,
        )
        .on_conflict_do_nothing(index_elements=["study_instance_uid", "series_instance_uid"])
        .returning(Series)
    ).one_or_none()
    if inserted is not None:
        append_event(session, inserted, by, "opened", after=SeriesState.RECEIVING)
        return inserted
    return session.scalars(
        select(Series)
        .where(Series.study_instance_uid == study, Series.series_instance_uid == series)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def _reopen(session: Session, series: Series, by: By) -> None:
    if series.state is SeriesState.RECEIVING:
        return
    session.execute(
        update(Screening)
        .where(Screening.series_id == series.id, Screening.finished_at.is_(None))
        .values(finished_at=by.at, outcome=RunOutcome.SUPERSEDED)
    )
    move_series(session, series.id, series.state, SeriesState.RECEIVING, by)


def _all_known(session: Session, series_id: int, instances: tuple[NewInstance, ...]) -> bool:
    known = session.execute(
        select(Instance.sop_instance_uid, Instance.transfer_syntax_uid, Instance.sha256).where(
            Instance.series_id == series_id
        )
    )
    on_disk = {(one.sop_instance_uid, one.transfer_syntax_uid, one.sha256) for one in instances}
    return on_disk <= {tuple(row) for row in known}


def _upsert_instances(
    session: Session, series_id: int, revision: int, instances: tuple[NewInstance, ...]
) -> None:
    if not instances:
        return
    names = [column.name for column in fields(NewInstance)]
    statement = insert(Instance).values(
        [{**asdict(one), "series_id": series_id, "revision": revision} for one in instances]
    )
    new = statement.excluded
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["series_id", "sop_instance_uid"],
            set_={name: new[name] for name in [*names, "revision"]},
            where=or_(
                Instance.sha256 != new.sha256,
                Instance.transfer_syntax_uid != new.transfer_syntax_uid,
            ),
        )
    )
