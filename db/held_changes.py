"""Which instances another sender has changed, by what is on record."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from common.spool.held import Sender
from db.instances import NewInstance
from db.models import HeldInstance, Instance, Series
from db.states import HeldState


def changed_by_another(
    session: Session,
    study_instance_uid: str,
    series_instance_uid: str,
    instances: Iterable[NewInstance],
    *,
    source_pacs: str | None,
) -> frozenset[str]:
    """Return the SOP Instance UIDs that another sender has changed.

    They are on record with other bytes, from another sender than these, and no operator has
    accepted the change. ``source_pacs`` : AE title of the source PACS, which may replace what
    retention has removed.
    """
    of_series = and_(
        Series.study_instance_uid == study_instance_uid,
        Series.series_instance_uid == series_instance_uid,
    )
    known = {
        uid: (syntax, sha256, Sender(ae_title or of_all or "", address or ""))
        for uid, syntax, sha256, ae_title, of_all, address in session.execute(
            select(
                Instance.sop_instance_uid,
                Instance.transfer_syntax_uid,
                Instance.sha256,
                Instance.calling_ae_title,
                Series.calling_ae_title,
                Instance.source_address,
            )
            .join(Series, Series.id == Instance.series_id)
            .where(of_series)
        )
    }
    accepted = _accepted(session, of_series) if known else set()
    return frozenset(
        one.sop_instance_uid
        for one in instances
        if one.calling_ae_title != source_pacs
        and (one.sop_instance_uid, one.sha256) not in accepted
        and _is_changed(one, known.get(one.sop_instance_uid))
    )


def _is_changed(one: NewInstance, known: tuple[str, str, Sender] | None) -> bool:
    if known is None or known[:2] == (one.transfer_syntax_uid, one.sha256):
        return False
    sender = Sender(one.calling_ae_title or "", one.source_address or "")
    return known[2].differs_from(sender)


def _accepted(session: Session, of_series: ColumnElement[bool]) -> set[tuple[str, str]]:
    rows = session.execute(
        select(HeldInstance.sop_instance_uid, HeldInstance.sha256)
        .join(Series, Series.id == HeldInstance.series_id)
        .where(of_series, HeldInstance.state == HeldState.ACCEPTED)
    )
    return {(uid, sha256) for uid, sha256 in rows}
