"""Studies from their first instance until they are complete and due.

Only a study with one result has states. ``storescp`` decides when it is complete, from what the
record says and from the associations and pending series that it knows.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Select, and_, exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import Series, Study
from db.states import STUDY_FINISHED, ResultPer, StudyState
from db.transition import ChangedBy, Transition, append_study_event, move_study

BY_COUNT = "count"
"""``completed_by`` of a series with all instances that the source PACS counts."""
STILL_OPEN = 6.0
"""Quiet periods after which an association that is silent no longer keeps its studies open:
some senders keep an idle association for hours."""


def open_study(
    session: Session,
    study_instance_uid: str,
    result_per: ResultPer,
    by: ChangedBy,
    *,
    correlation_id: str | None,
) -> Study:
    """Return the row of a study, locked until the end of the transaction; insert it if new.

    ``result_per`` : of a new study; one on record keeps its own.
    """
    study = session.scalars(_by_uid(study_instance_uid)).one_or_none()
    if study is not None:
        return study
    inserted = session.scalars(
        insert(Study)
        .values(
            study_instance_uid=study_instance_uid,
            result_per=result_per,
            state=StudyState.COLLECTING if result_per is ResultPer.STUDY else None,
            correlation_id=correlation_id,
            created_at=by.at,
            changed_at=by.at,
        )
        .on_conflict_do_nothing(index_elements=["study_instance_uid"])
        .returning(Study)
    ).one_or_none()
    if inserted is None:  # another process has inserted it meanwhile
        return session.scalars(_by_uid(study_instance_uid)).one()
    if inserted.state is not None:
        opened = Transition(None, inserted.state)
        append_study_event(session, inserted, by, "opened", transition=opened)
    return inserted


def series_arriving(session: Session, study: Study, by: ChangedBy) -> None:
    """Record that instances of a new or unfinished series arrive: a due study waits for it.

    A run that is active goes on; its end takes the change into account.
    """
    if is_due_study(study):
        _collect(session, study, StudyState.SCREENING, by)


def series_registered(
    session: Session,
    study: Study,
    by: ChangedBy,
    *,
    last_received_at: datetime | None,
    correlation_id: str,
) -> None:
    """Record a new or changed series: a due or finished study is collecting again."""
    newest = [at for at in (study.last_received_at, last_received_at) if at is not None]
    study.last_received_at = max(newest, default=None)
    state = study.state
    if state in STUDY_FINISHED:
        study.correlation_id = correlation_id
    is_running = state is StudyState.SCREENING and not is_due_study(study)
    if not is_running:
        study.attempts = 0
    session.flush()
    if state is not None and state is not StudyState.COLLECTING and not is_running:
        _collect(session, study, state, by)


def is_due_study(study: Study) -> bool:
    """Return whether a study is complete and no worker holds its lease."""
    return study.state is StudyState.SCREENING and study.next_attempt_at is not None


def complete_studies(
    session: Session,
    *,
    quiet_seconds: float,
    counted_quiet_seconds: float,
    pending: Collection[str],
    sending: Collection[str],
    by: ChangedBy,
) -> list[Study]:
    """Make the complete studies due and return them.

    A study is complete when no instance of it has arrived for ``quiet_seconds``, none of its
    series is ``pending``, and no open association that has sent an instance of it is
    ``sending``; both hold Study Instance UIDs. ``counted_quiet_seconds`` are enough where every
    series has all instances that the source PACS counts.
    """
    quiet = timedelta(seconds=quiet_seconds)
    counted_quiet = min(quiet, timedelta(seconds=counted_quiet_seconds))
    complete = []
    for study_id, uid, last_received_at in _quiet_studies(session, by.at, quiet, counted_quiet):
        silence = by.at - last_received_at
        if uid in pending or (uid in sending and silence < STILL_OPEN * quiet):
            continue
        values = {
            "revision": Study.revision + 1,
            "completed_at": by.at,
            "next_attempt_at": by.at,
        }
        moved = move_study(
            session,
            (Study.id == study_id) & (Study.last_received_at == last_received_at),
            Transition(StudyState.COLLECTING, StudyState.SCREENING),
            by,
            values=values,
        )
        if moved is not None:
            complete.append(moved)
    return complete


def _quiet_studies(
    session: Session, now: datetime, quiet: timedelta, counted_quiet: timedelta
) -> list[tuple[int, str, datetime]]:
    """Return ID, UID and last arrival of the collecting studies that are quiet.

    One whose last arrival lies in the future is quiet, too: the clock was set back.
    """
    of_study = Series.study_id == Study.id, Series.revision > 0
    counted = ~exists().where(*of_study, Series.completed_by.is_distinct_from(BY_COUNT))
    rows = session.execute(
        select(Study.id, Study.study_instance_uid, Study.last_received_at)
        .where(
            Study.state == StudyState.COLLECTING,
            or_(
                Study.last_received_at <= now - quiet,
                and_(Study.last_received_at <= now - counted_quiet, counted),
                Study.last_received_at > now + quiet,
            ),
            exists().where(*of_study),
        )
        .order_by(Study.last_received_at)
    )
    return [(study_id, uid, at) for study_id, uid, at in rows if at is not None]


def _collect(session: Session, study: Study, before: StudyState, by: ChangedBy) -> None:
    reopened = Transition(before, StudyState.COLLECTING)
    move_study(session, Study.id == study.id, reopened, by, values={"next_attempt_at": None})


def _by_uid(study_instance_uid: str) -> "Select[Study]":
    return (
        select(Study)
        .where(Study.study_instance_uid == study_instance_uid)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
