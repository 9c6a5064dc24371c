"""Results that can be withdrawn: of a series or study, by a UID, of a model version."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from db.models import Delivery, HipResult, ResultObject, Screening, Series
from db.states import RunOutcome

REPORT = "sr"


@dataclass(frozen=True, slots=True)
class ResultToWithdraw:
    """A graded result that is not withdrawn, with its objects.

    ``destinations`` : those that may hold an object of it now.
    """

    screening_id: int
    study_instance_uid: str
    series_instance_uid: str
    model_name: str
    model_version: str
    objects: Sequence[ResultObject]
    destinations: tuple[str, ...]

    @property
    def report(self) -> ResultObject:
        """The SR."""
        return next(one for one in self.objects if one.role == REPORT)


def results_of_series(session: Session, series_id: int) -> list[ResultToWithdraw]:
    """Return the results of a series that has results of its own."""
    return _results(session, Screening.series_id == series_id, Screening.study_id.is_(None))


def results_of_study(session: Session, study_id: int) -> list[ResultToWithdraw]:
    """Return the results of a study that has one result."""
    return _results(session, Screening.study_id == study_id)


def results_of_model(session: Session, version: str) -> list[ResultToWithdraw]:
    """Return the results of every model with this version."""
    return _results(session, Screening.model_version == version)


def results_by_uid(session: Session, uid: str) -> list[ResultToWithdraw] | None:
    """Return the results of a study, taken from a series, or with an object of this UID.

    ``uid`` : of a study, of a CT series, or of a result's series or instance. Returns None if
    the UID is unknown.
    """
    series = select(Series.id).where(
        or_(Series.study_instance_uid == uid, Series.series_instance_uid == uid)
    )
    ids = session.scalars(series).all()
    runs = session.scalars(
        select(ResultObject.screening_id).where(
            or_(ResultObject.sop_instance_uid == uid, ResultObject.series_instance_uid == uid)
        )
    ).all()
    if not ids and not runs:
        return None
    of_hip = exists().where(
        HipResult.screening_id == Screening.id, HipResult.series_id.in_(ids)
    )
    return _results(session, or_(Screening.id.in_(runs), Screening.series_id.in_(ids), of_hip))


def folder_of(session: Session, screening_id: int) -> Path | None:
    """Return the folder of the files of a result, relative to the spool."""
    path = session.scalar(
        select(ResultObject.path).where(
            ResultObject.screening_id == screening_id, ResultObject.role == REPORT
        )
    )
    return None if path is None else Path(path).parent


def withdrawn_object_uids(session: Session, study_instance_uid: str) -> frozenset[str]:
    """Return the SOP Instance UIDs of the withdrawn results of a study."""
    return frozenset(
        session.scalars(
            select(ResultObject.sop_instance_uid)
            .join(Screening, Screening.id == ResultObject.screening_id)
            .join(Series, Series.id == Screening.series_id)
            .where(
                Series.study_instance_uid == study_instance_uid,
                Screening.withdrawn_at.is_not(None),
            )
        )
    )


def _results(session: Session, *conditions: ColumnElement[bool]) -> list[ResultToWithdraw]:
    rows = session.execute(
        select(
            Screening.id,
            Series.study_instance_uid,
            Series.series_instance_uid,
            Screening.model_name,
            Screening.model_version,
        )
        .join(Series, Series.id == Screening.series_id)
        .where(
            Screening.outcome == RunOutcome.SCREENED,
            Screening.withdrawn_at.is_(None),
            *conditions,
        )
        .order_by(Screening.id)
    ).all()
    results = []
    for screening_id, study, series, name, version in rows:
        objects = session.scalars(
            select(ResultObject)
            .where(ResultObject.screening_id == screening_id)
            .order_by(ResultObject.id)
        ).all()
        if any(one.role == REPORT for one in objects):
            holders = _holders(session, screening_id)
            results.append(
                ResultToWithdraw(
                    screening_id, study, series, name or "", version or "", objects, holders
                )
            )
    return results


def _holders(session: Session, screening_id: int) -> tuple[str, ...]:
    in_progress = Delivery.lease_until.is_not(None)
    names = select(Delivery.destination).where(
        Delivery.screening_id == screening_id, Delivery.may_hold | in_progress
    )
    return tuple(sorted(set(session.scalars(names))))
