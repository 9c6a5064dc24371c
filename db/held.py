"""Changed content from another sender: recorded, accepted or refused by an operator.

Files move in the Storage SCP only: a decision is a row, which it applies (``undone``).
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy import Select, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.spool.held import Sender
from db.models import HeldInstance, Instance, Series
from db.states import HeldState
from db.transition import ChangedBy, append_event

CHANGED_CONTENT = "CHANGED_CONTENT"
"""Reason code of held content."""


@dataclass(frozen=True, slots=True)
class NewHeld:
    """A file of ``held``; ``sha256`` is of the encoded data set without file meta.

    ``differences`` : keywords of attributes that differ from the first content.
    """

    sop_instance_uid: str
    sha256: str
    received_at: datetime
    calling_ae_title: str
    source_address: str
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HeldContent:
    """What one sender sent for one series and waits for a decision.

    ``first`` : the sender of the instances that were screened. ``newest_id`` : identifies the
    content that a decision was made for; later content is not decided with it.
    """

    series_id: int
    study_instance_uid: str
    series_instance_uid: str
    sender: Sender
    first: Sender
    instances: int
    received_at: datetime
    newest_id: int
    differences: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The reason as a sentence."""
        images = "image has" if self.instances == 1 else "images have"
        named = ", ".join(self.differences)
        differing = f", with differences in {named}" if named else ""
        return (
            f"{self.instances} {images} other content under known UIDs: first from"
            f" {self.first}, now from {self.sender}{differing}. The first content stands until"
            " an operator accepts or refuses the other."
        )


@dataclass(frozen=True, slots=True)
class Undone:
    """A decision that the Storage SCP has not applied yet."""

    held_id: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sha256: str
    is_accepted: bool


def record_held(
    session: Session,
    study_instance_uid: str,
    series_instance_uid: str,
    new: Sequence[NewHeld],
    by: ChangedBy,
) -> int | None:
    """Record files that wait for a decision; return how many were not on record.

    None: the series is not on record yet.
    """
    series = session.scalars(
        select(Series).where(
            Series.study_instance_uid == study_instance_uid,
            Series.series_instance_uid == series_instance_uid,
        )
    ).one_or_none()
    if series is None:
        return None
    waiting = set(
        session.scalars(
            select(HeldInstance.sha256).where(
                HeldInstance.series_id == series.id, HeldInstance.applied_at.is_(None)
            )
        )
    )
    values = [
        {
            **asdict(one),
            "differences": list(one.differences),
            "series_id": series.id,
            "state": HeldState.HELD,
        }
        for one in new
        if one.sha256 not in waiting
    ]
    if values:
        session.execute(insert(HeldInstance).values(values).on_conflict_do_nothing())
        append_event(session, series, by, "content_held", detail={"instances": len(values)})
    return len(values)


def held_content(session: Session, *, limit: int = 100) -> list[HeldContent]:
    """Return what waits for a decision, the newest first."""
    return _held_content(session, _groups().limit(limit))


def held_of_series(session: Session, series_ids: Collection[int]) -> list[HeldContent]:
    """Return what waits for a decision of some series, the newest first."""
    return _held_content(session, _groups().where(HeldInstance.series_id.in_(series_ids)))


def held_by_uid(session: Session, uid: str) -> list[HeldContent]:
    """Return what waits for a decision of a series or a study, the newest first."""
    named = or_(Series.series_instance_uid == uid, Series.study_instance_uid == uid)
    return _held_content(session, _groups().where(named))


def count_held(session: Session) -> int:
    """Return the number of images that wait for a decision."""
    waiting = select(func.count()).where(HeldInstance.state == HeldState.HELD)
    return session.scalar(waiting) or 0


def decide(
    session: Session, content: HeldContent, *, accept: bool, actor: str, now: datetime
) -> int:
    """Accept or refuse what one sender sent; return the number of images.

    0: another operator has decided meanwhile.
    """
    state = HeldState.ACCEPTED if accept else HeldState.REFUSED
    decided = session.scalars(
        update(HeldInstance)
        .where(
            HeldInstance.series_id == content.series_id,
            HeldInstance.state == HeldState.HELD,
            HeldInstance.calling_ae_title == content.sender.ae_title,
            HeldInstance.source_address == content.sender.address,
            HeldInstance.id <= content.newest_id,
        )
        .values(state=state, decided_at=now, decided_by=actor)
        .returning(HeldInstance.id)
    ).all()
    if decided:
        what = "content_accepted" if accept else "content_refused"
        series = session.get_one(Series, content.series_id)
        detail = {"instances": len(decided), "sender": str(content.sender)}
        append_event(session, series, ChangedBy(actor, now), what, detail=detail)
    return len(decided)


def undone(session: Session) -> list[Undone]:
    """Return the decisions to apply, in the order of arrival."""
    rows = session.execute(
        select(HeldInstance, Series.study_instance_uid, Series.series_instance_uid)
        .join(Series, Series.id == HeldInstance.series_id)
        .where(HeldInstance.state != HeldState.HELD, HeldInstance.applied_at.is_(None))
        .order_by(HeldInstance.id)
    )
    return [
        Undone(
            one.id,
            study,
            series,
            one.sop_instance_uid,
            one.sha256,
            one.state is HeldState.ACCEPTED,
        )
        for one, study, series in rows
    ]


def mark_applied(session: Session, held_ids: Collection[int], *, now: datetime) -> None:
    """Record that the files of decisions have been moved or deleted."""
    session.execute(
        update(HeldInstance).where(HeldInstance.id.in_(held_ids)).values(applied_at=now)
    )


def _groups() -> "Select[*tuple[Any, ...]]":
    """Select held content by series and sender."""
    by = (
        Series.id,
        Series.study_instance_uid,
        Series.series_instance_uid,
        HeldInstance.calling_ae_title,
        HeldInstance.source_address,
    )
    newest = func.max(HeldInstance.id)
    return (
        select(
            *by,
            func.min(func.coalesce(Instance.calling_ae_title, Series.calling_ae_title)),
            func.min(Instance.source_address),
            func.count(HeldInstance.sop_instance_uid.distinct()),
            func.max(HeldInstance.received_at),
            newest,
            func.jsonb_agg(HeldInstance.differences.distinct()),
        )
        .join(Series, Series.id == HeldInstance.series_id)
        .outerjoin(
            Instance,
            and_(
                Instance.series_id == HeldInstance.series_id,
                Instance.sop_instance_uid == HeldInstance.sop_instance_uid,
            ),
        )
        .where(HeldInstance.state == HeldState.HELD)
        .group_by(*by)
        .order_by(newest.desc())
    )


def _held_content(
    session: Session,
    groups: "Select[*tuple[Any, ...]]",
) -> list[HeldContent]:
    return [
        HeldContent(
            series_id=series_id,
            study_instance_uid=study,
            series_instance_uid=series,
            sender=Sender(ae_title, address),
            first=Sender(first_title or "", first_address or ""),
            instances=instances,
            received_at=received_at,
            newest_id=newest_id,
            differences=tuple(sorted(set(chain.from_iterable(differences)))),
        )
        for (
            series_id, study, series, ae_title, address, first_title, first_address,
            instances, received_at, newest_id, differences,
        ) in session.execute(groups)
    ]  # fmt: skip
