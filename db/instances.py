"""Instances of a series: insert, compare, digest."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import String, Text, cast, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

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
    """Write the new and changed instances of a revision by one statement.

    They are arrays, one for each column: SQLAlchemy compiles the statement once, while rows of
    values would cost it 0.16 ms each, every time.
    """
    if not instances:
        return
    columns = Instance.__table__.c
    names = [column.name for column in fields(NewInstance)]
    arrays = [
        cast([getattr(one, name) for one in instances], ARRAY(_array_type(columns[name].type)))
        for name in names
    ]
    given = func.unnest(*arrays).table_valued(*names, name="given").render_derived()
    rows = select(literal(series_id), literal(revision), *(given.c[name] for name in names))
    statement = insert(Instance).from_select(["series_id", "revision", *names], rows)
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


def _array_type(column: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type of the values: a cast to that of a short text would cut them."""
    return Text() if isinstance(column, String) else column
