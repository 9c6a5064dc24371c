"""Tables, one module per subject; this package exports all of them."""

from db.models.audit import AuditMessage
from db.models.base import Base
from db.models.candidates import ModelRelease, ShadowHipResult
from db.models.delivery import NOTE, Delivery, ObjectRole, Pause, ResultObject
from db.models.held import HeldInstance
from db.models.review import Access, DxaResult, Feedback
from db.models.screening import HipResult, Screening
from db.models.series import Event, Instance, Series
from db.models.study import Study, StudyEvent

__all__ = [
    "NOTE",
    "Access",
    "AuditMessage",
    "Base",
    "Delivery",
    "DxaResult",
    "Event",
    "Feedback",
    "HeldInstance",
    "HipResult",
    "Instance",
    "ModelRelease",
    "ObjectRole",
    "Pause",
    "ResultObject",
    "Screening",
    "Series",
    "ShadowHipResult",
    "Study",
    "StudyEvent",
]
