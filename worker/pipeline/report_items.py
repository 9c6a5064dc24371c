"""Content items as the SR uses them: highdicom's, with the relationship said last."""

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ImageContentItem,
    NumContentItem,
    TextContentItem,
)
from highdicom.sr.value_types import ContentItem, ContentSequence
from pydicom import Dataset
from pydicom.sr.coding import Code

from worker.pipeline import geometry

CONTAINS, MODIFIER, PROPERTY = "CONTAINS", "HAS CONCEPT MOD", "HAS PROPERTIES"
CONTEXT, ACQUISITION = "HAS OBS CONTEXT", "HAS ACQ CONTEXT"


def container(
    name: Code,
    *items: ContentItem,
    relationship: str | None = None,
    template: str | None = None,
) -> ContentItem:
    """A container, always SEPARATE: with highdicom's CONTINUOUS, readers such as dsr2html
    print values without their concept names."""
    made = ContainerContentItem(
        name,
        is_content_continuous=False,
        template_id=template,
        relationship_type=relationship,
    )
    made.ContentSequence = ContentSequence(items)
    return made


def code(name: Code, value: Code, relationship: str = CONTAINS) -> ContentItem:
    """A CODE item."""
    return CodeContentItem(name, value, relationship)


def text(name: Code, value: str, relationship: str = CONTAINS) -> ContentItem:
    """A TEXT item."""
    return TextContentItem(name, value, relationship)


def number(name: Code, value: float, unit: Code, relationship: str = CONTAINS) -> ContentItem:
    """A NUM item."""
    return NumContentItem(name, value, unit, relationship_type=relationship)


def image(name: Code, instance: Dataset, relationship: str = CONTAINS) -> ContentItem:
    """An IMAGE item that points at a SOP instance, or at the frame that a header describes."""
    return ImageContentItem(
        name,
        instance.SOPClassUID,
        instance.SOPInstanceUID,
        referenced_frame_numbers=geometry.frame_of(instance),
        relationship_type=relationship,
    )
