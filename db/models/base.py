"""Declarative base: names of constraints, and column types."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import DateTime, Enum, MetaData, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """Declarative base that names every constraint, so that migrations can drop them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        str: Text(),
        dict[str, Any]: JSONB(),
        list[str]: JSONB(),
        dict[str, float]: JSONB(),
    }


def by_value(enum: type[StrEnum], name: str, *, length: int = 16) -> Enum:
    """Return a text type with a CHECK constraint on the values of ``enum``.

    PostgreSQL cannot remove values of a native enum, so a downgrade would be impossible.
    """
    return Enum(
        enum,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=length,
        values_callable=lambda members: [member.value for member in members],
    )


UID = String(64)  # PS3.5 9.1
AE_TITLE = String(16)  # PS3.5 6.2
SHA256 = String(64)  # hexadecimal
CORRELATION_ID = String(16)  # hexadecimal
GRADE_VALUES = "('normal', 'osteopenia', 'osteoporosis')"
