"""Instances of a series: insert, compare, digest."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import Instance


@dataclass(frozen=True, slots=True)
class NewInstance:
    """A file of the spool; ``sha256`` is of the encoded data set without file meta.

    ``calling_ae_title``, ``source_address`` : of its sender; None where unknown.
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    sha256: str
    bytes: int
    received_at: datetime
    calling_ae_title: str | None = None
    source_address: str | None = None


def content_sha256(instances: Iterable[NewInstance]) -> str:
    """Return the digest of a revision, independent of the order of instances."""
    lines = sorted(
        f"{one.sop_instance_uid} {one.transfer_syntax_uid} {one.sha256}\n" for one in instances
    )
    return hashlib.sha256("".join(lines).encode("ascii")).hexdigest()


def are_known(session: Session, series_id: int, instances: tuple[NewInstance, ...]) -> bool:
    """Return whether a series has every one of these instances with the same bytes."""
    known = session.execute(
        select(Instance.sop_instance_uid, Instance.transfer_syntax_uid, Instance.sha256).where(
            Instance.series_id == series_id
        )
    )
    on_disk = {(one.sop_instance_uid, one.transfer_syntax_uid, one.sha256) for one in instances}
    return on_disk <= {tuple(row) for row in known}


def missing_instances(
    session: Session, series_id: int, present: Collection[str]
) -> frozenset[str]:
    """Return the SOP Instance UIDs on record of a series that are not ``present``."""
    known = session.scalars(
        select(Instance.sop_instance_uid).where(Instance.series_id == series_id)
    )
    return frozenset(known).difference(present)


def upsert_instances(
    session: Session, series_id: int, revision: int, instances: tuple[NewInstance, ...]
) -> None:
    """Write the new and changed instances of a revision by one statement."""
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
