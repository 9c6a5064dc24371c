"""Constructors of highdicom's content items with the defaults of this SR."""

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

from worker.pipeline import header_values

CONTAINS, MODIFIER, PROPERTY = "CONTAINS", "HAS CONCEPT MOD", "HAS PROPERTIES"
CONTEXT, ACQUISITION = "HAS OBS CONTEXT", "HAS ACQ CONTEXT"
EVIDENCE = "INFERRED FROM"


def container(
    name: Code,
    *items: ContentItem,
    relationship: str | None = None,
    template: str | None = None,
) -> ContentItem:
    """Return a CONTAINER item with continuity SEPARATE.

    Of CONTINUOUS, highdicom's default, readers such as dsr2html print values without their
    concept names.
    """
    result = ContainerContentItem(
        name,
        is_content_continuous=False,
        template_id=template,
        relationship_type=relationship,
    )
    result.ContentSequence = ContentSequence(items)
    return result


def code(name: Code, value: Code, relationship: str = CONTAINS) -> ContentItem:
    """Return a CODE item."""
    return CodeContentItem(name, value, relationship)


def text(name: Code, value: str, relationship: str = CONTAINS) -> ContentItem:
    """Return a TEXT item."""
    return TextContentItem(name, value, relationship)


def number(name: Code, value: float, unit: Code, relationship: str = CONTAINS) -> ContentItem:
    """Return a NUM item."""
    return NumContentItem(name, value, unit, relationship_type=relationship)


def image(name: Code, instance: Dataset, relationship: str = CONTAINS) -> ContentItem:
    """Return an IMAGE item for a SOP instance, or for the frame that a header describes."""
    return ImageContentItem(
        name,
        instance.SOPClassUID,
        instance.SOPInstanceUID,
        referenced_frame_numbers=header_values.frame_of(instance),
        relationship_type=relationship,
    )
