"""Conversion of multi-frame CT headers to one single-frame header a frame.

The headers have the keywords of a CT Image, so that later steps read one kind of header.
Enhanced CT and Legacy Converted Enhanced CT describe frames in functional groups, shared by
all frames or one a frame (PS3.3 C.7.6.16). Parts of a concatenation (PS3.3 C.7.6.16.2.2.4)
need no special treatment: each holds its own frames.
"""

from pydicom import DataElement, Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag, Tag
from pydicom.uid import EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from worker.pipeline.header_values import items_of, text_of

MULTI_FRAME = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)

SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"

# Functional groups whose elements have the keywords of a CT Image (PS3.3 Table A.38-2).
GROUPS = (
    "UnassignedSharedConvertedAttributesSequence",
    "UnassignedPerFrameConvertedAttributesSequence",
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "CTImageFrameTypeSequence",
    "CTAcquisitionDetailsSequence",
    "CTReconstructionSequence",
    "CTXRayDetailsSequence",
    "FrameContentSequence",
    "CardiacSynchronizationSequence",
    "TemporalPositionSequence",
    "IrradiationEventIdentificationSequence",
)
# Functional groups that keep their items, as in a CT Image.
KEPT_GROUPS = (
    "DerivationImageSequence",
    "MultienergyCTProcessingSequence",
    "MultienergyCTCharacteristicsSequence",
)

Elements = dict[BaseTag, DataElement | RawDataElement]


def is_multi_frame(ds: Dataset) -> bool:
    """Return whether functional groups describe the slices of an object."""
    return text_of(ds, "SOPClassUID") in MULTI_FRAME


def frame_headers(ds: Dataset) -> list[Dataset]:
    """Return one header for every frame that an object describes, in the order of the frames.

    ``ReferencedFrameNumber`` numbers them from 1; ``header_values.frame_of`` reads it. Nothing
    is checked: elements that a frame lacks are absent. The headers share their elements, so
    callers must not modify them.
    """
    common = elements_of(ds)
    for keyword in (SHARED, PER_FRAME):
        common.pop(Tag(keyword), None)
    shared = items_of(ds, SHARED)[:1]
    for item in shared:
        common |= _single_frame(item)
    headers = []
    for number, groups in enumerate(items_of(ds, PER_FRAME), start=1):
        header = Dataset(common | _single_frame(groups))
        _add_contrast(header, (*shared, groups))
        header.ReferencedFrameNumber = number
        headers.append(header)
    return headers


def elements_of(ds: Dataset) -> Elements:
    """Return every element by its tag; those that cannot be converted stay raw."""
    elements: Elements = {}
    for tag in list(ds.keys()):
        try:
            elements[tag] = ds[tag]
        except Exception:  # a malformed value makes the parser raise whatever it likes
            raw = ds.get_item(tag)
            if isinstance(raw, RawDataElement):
                elements[tag] = raw
    return elements


def _single_frame(groups: Dataset) -> Elements:
    """Return the elements of one item of functional groups under the keywords of a CT Image."""
    elements: Elements = {}
    for keyword in GROUPS:
        if keyword in groups:
            for item in items_of(groups, keyword)[:1]:
                elements |= elements_of(item)
    for keyword in KEPT_GROUPS:
        if items_of(groups, keyword):
            elements[Tag(keyword)] = groups[keyword]
    return elements


def _add_contrast(header: Dataset, groups: tuple[Dataset, ...]) -> None:
    """Add ContrastBolusAgent, unless the frames state that it was not administered.

    PS3.3 C.7.6.16.2.12.
    """
    agents = [
        text_of(agent, "CodeMeaning")
        for agent in items_of(header, "ContrastBolusAgentSequence")
    ]
    usages = [use for item in groups for use in items_of(item, "ContrastBolusUsageSequence")]
    given = [text_of(use, "ContrastBolusAgentAdministered") for use in usages]
    if any(agents) and "ContrastBolusAgent" not in header and set(given) != {"NO"}:
        header.ContrastBolusAgent = ", ".join(filter(None, agents))
