"""Register a complete series with all its instances as a revision."""

from collections import Counter
from dataclasses import asdict, replace
from datetime import datetime
from socket import gethostname
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.logging import new_correlation_id
from db.audit import note
from db.completed_series import ArrivingSeries, CompletedSeries, Registered
from db.instances import are_known, content_sha256, missing_instances, upsert_instances
from db.models import Screening, Series, Study
from db.states import ResultPer, RunOutcome, SeriesState
from db.studies import open_study, series_arriving, series_registered
from db.transition import ChangedBy, Transition, append_event, move_series

UNFINISHED = (SeriesState.QUEUED, SeriesState.SCREENING)


def open_series(
    session: Session,
    arriving: ArrivingSeries,
    *,
    now: datetime,
    actor: str,
    result_per: ResultPer = ResultPer.SERIES,
) -> int:
    """Record that instances arrive: a queued or screening series becomes *receiving*.

    A finished series keeps its state until ``register_revision`` compares its content: the same
    instances sent again after retention removed them are not a new revision. ``result_per`` :
    of a new study.
    """
    by, correlation_id = ChangedBy(actor, now), arriving.correlation_id
    study = open_study(
        session, arriving.study_instance_uid, result_per, by, correlation_id=correlation_id
    )
    series = _insert_or_lock(session, study, arriving.series_instance_uid, by)
    if series.calling_ae_title is None:
        series.calling_ae_title = arriving.calling_ae_title
    if series.state in UNFINISHED:
        _reopen(session, series, by)
    if series.state is SeriesState.RECEIVING:
        # If this process dies, the scan registers the series with this ID.
        series.correlation_id = correlation_id or series.correlation_id
        series_arriving(session, study, by)
    return series.id


def register_revision(
    session: Session,
    completed: CompletedSeries,
    *,
    now: datetime,
    actor: str,
    result_per: ResultPer = ResultPer.SERIES,
) -> Registered:
    """Queue a complete series with new or changed content as its next revision.

    The same content, or a part of it, changes nothing: retention may have been interrupted, or
    some instances may be sent again after it. A change is refused where instances are missing
    that were screened: the result would be of a part of the series. A run over the previous
    revision is superseded, unless it is a run over the study, which decides at its end. One
    statement writes all instances. ``result_per`` : of a new study.
    """
    by = ChangedBy(actor, now)
    study = open_study(
        session,
        completed.study_instance_uid,
        result_per,
        by,
        correlation_id=completed.correlation_id,
    )
    series = _insert_or_lock(session, study, completed.series_instance_uid, by)
    digest = content_sha256(completed.instances)
    receiving = series.state is SeriesState.RECEIVING
    if not receiving and (
        series.content_sha256 == digest or are_known(session, series.id, completed.instances)
    ):
        return _keep_revision(series, completed)
    present = {one.sop_instance_uid for one in completed.instances} | completed.quarantined
    missing = len(missing_instances(session, series.id, present))
    if missing and not receiving:
        return _refuse_change(session, series, completed, missing, by)
    completed = replace(completed, refused_count=completed.refused_count + missing)
    return _queue_revision(session, study, series, completed, digest, by)


def _keep_revision(series: Series, completed: CompletedSeries) -> Registered:
    series.spool_mtime_ns = completed.spool_mtime_ns
    series.change_refused = None
    return Registered(
        series.id, series.revision, changed=False, correlation_id=series.correlation_id
    )


def _queue_revision(
    session: Session,
    study: Study,
    series: Series,
    completed: CompletedSeries,
    digest: str,
    by: ChangedBy,
) -> Registered:
    """Write the instances and queue them; ``digest`` : of their content."""
    revision = series.revision + (series.content_sha256 != digest)
    opened_as = series.correlation_id if series.state is SeriesState.RECEIVING else None
    correlation_id = completed.correlation_id or opened_as or new_correlation_id()
    _reopen(session, series, by)
    upsert_instances(session, series.id, revision, completed.instances)
    due = study.result_per is ResultPer.SERIES
    values = _revision_values(completed, now=by.at) | {
        "next_attempt_at": by.at if due else None,
        "revision": revision,
        "content_sha256": digest,
        "correlation_id": correlation_id,
    }
    move_series(
        session,
        Series.id == series.id,
        Transition(SeriesState.RECEIVING, SeriesState.QUEUED),
        by,
        values=values,
        detail=_event_detail(completed, correlation_id),
    )
    _audit(session, completed, by)
    if not due:
        series_registered(
            session,
            study,
            by,
            last_received_at=values["last_received_at"],
            correlation_id=correlation_id,
        )
    return Registered(series.id, revision, changed=True, correlation_id=correlation_id, due=due)


def _event_detail(completed: CompletedSeries, correlation_id: str) -> dict[str, Any]:
    return {
        "completed_by": completed.completed_by,
        "instances": len(completed.instances),
        "expected": completed.expected_count,
        "refused": completed.refused_count,
        "correlation_id": correlation_id,
    }


def _audit(session: Session, completed: CompletedSeries, by: ChangedBy) -> None:
    """Note the reception; the address is that of the last sender."""
    last = max(completed.instances, key=lambda one: one.received_at, default=None)
    note(
        session,
        "received",
        at=by.at,
        service="storescp",
        host=gethostname(),
        peer=completed.calling_ae_title or (last and last.calling_ae_title),
        address=last and last.source_address,
        patient_id=completed.facts.patient_id,
        study_instance_uid=completed.study_instance_uid,
        instances=Counter(one.sop_class_uid for one in completed.instances),
    )


def _refuse_change(
    session: Session, series: Series, completed: CompletedSeries, missing: int, by: ChangedBy
) -> Registered:
    """Keep the registered revision; what has arrived waits in the spool for the rest."""
    pacs = (
        "no source PACS has told of them"
        if completed.expected_count is None
        else f"the source PACS has {completed.expected_count} and did not send them"
    )
    text = (
        f"The change arrived with {len(completed.instances)} images. {missing} of those that"
        f" were screened are missing: they are no longer in the spool, and {pacs}. Send the"
        " whole series again."
    )
    if series.change_refused != text:
        detail = {"present": len(completed.instances), "missing": missing}
        append_event(session, series, by, "change_refused", detail=detail)
    series.change_refused = text
    series.spool_mtime_ns = completed.spool_mtime_ns
    return Registered(
        series.id,
        series.revision,
        changed=False,
        correlation_id=series.correlation_id,
        refused_because=text,
    )


def _revision_values(completed: CompletedSeries, *, now: datetime) -> dict[str, Any]:
    received = [one.received_at for one in completed.instances]
    return {
        **asdict(completed.facts),
        "attempts": 0,
        "rank": None,
        "reason_code": None,
        "reason_text": None,
        "error": None,
        "change_refused": None,
        "instance_count": len(completed.instances),
        "total_bytes": sum(one.bytes for one in completed.instances),
        "completed_by": completed.completed_by,
        "expected_count": completed.expected_count,
        "refused_count": completed.refused_count,
        "completed_at": now,
        "last_received_at": max(received, default=None),
        "spool_mtime_ns": completed.spool_mtime_ns,
        "calling_ae_title": completed.calling_ae_title,
    }


def _insert_or_lock(session: Session, study: Study, series: str, by: ChangedBy) -> Series:
    """Return the row of a series, inserted if new, locked until the end of transaction."""
    inserted = session.scalars(
        insert(Series)
        .values(
            study_id=study.id,
            study_instance_uid=study.study_instance_uid,
            series_instance_uid=series,
            state=SeriesState.RECEIVING,
            created_at=by.at,
            changed_at=by.at,
        )
        .on_conflict_do_nothing(index_elements=["study_instance_uid", "series_instance_uid"])
        .returning(Series)
    ).one_or_none()
    if inserted is not None:
        opened = Transition(None, SeriesState.RECEIVING)
        append_event(session, inserted, by, "opened", transition=opened)
        return inserted
    return session.scalars(
        select(Series)
        .where(Series.study_id == study.id, Series.series_instance_uid == series)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def _reopen(session: Session, series: Series, by: ChangedBy) -> None:
    if series.state is SeriesState.RECEIVING:
        return
    session.execute(
        update(Screening)
        .where(
            Screening.series_id == series.id,
            Screening.study_id.is_(None),
            Screening.finished_at.is_(None),
        )
        .values(finished_at=by.at, outcome=RunOutcome.SUPERSEDED)
    )
    reopened = Transition(series.state, SeriesState.RECEIVING)
    move_series(session, Series.id == series.id, reopened, by)
