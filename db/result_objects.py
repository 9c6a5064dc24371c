"""A DICOM object of a result, before it is in the record."""

from dataclasses import dataclass

from db.models import ObjectRole


@dataclass(frozen=True, slots=True)
class NewObject:
    """A DICOM object that is already durable at ``path``, relative to the spool."""

    role: ObjectRole
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    path: str
