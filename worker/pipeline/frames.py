"""Multi-frame CT as single-frame headers: one data set a frame, with the keywords that a
CT Image would have, so that every later step reads one kind of header.

Enhanced CT and Legacy Converted Enhanced CT keep what differs between frames in functional
groups, shared by all frames or one a frame (PS3.3 C.7.6.16). Parts of a concatenation
(PS3.3 C.7.6.16.2.2.4) need nothing special: each holds its own frames.
"""

from pydicom import DataElement, Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag, Tag
from pydicom.uid import EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from worker.pipeline.geometry import items_of, text_of

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
)

Elements = dict[BaseTag, DataElement | RawDataElement]


def is_multi_frame(ds: Dataset) -> bool:
    """Whether the slices of an object are described by functional groups."""
    return text_of(ds, "SOPClassUID") in MULTI_FRAME


def frame_headers(ds: Dataset) -> list[Dataset]:
    """One header for every frame that an object describes, in its order.

    ``ReferencedFrameNumber`` numbers them from 1; ``geometry.frame_of`` reads it. Nothing is
    checked: what a frame lacks, its header lacks. The elements are shared between headers,
    so none may be written to.
    """
    common = elements_of(ds)
    for keyword in (SHARED, PER_FRAME):
        common.pop(Tag(keyword), None)
    shared = items_of(ds, SHARED)[:1]
    headers = []
    for number, groups in enumerate(items_of(ds, PER_FRAME), start=1):
        elements = dict(common)
        for item in (*shared, groups):
            elements |= _single_frame(item)
        header = Dataset(elements)
        _add_contrast(header, (*shared, groups))
        header.ReferencedFrameNumber = number
        headers.append(header)
    return headers


def elements_of(ds: Dataset) -> Elements:
    """Every element by its tag; what cannot be converted stays as it was read."""
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
    """The elements of one item of functional groups under the keywords of a CT Image."""
    elements: Elements = {}
    for keyword in GROUPS:
        if keyword in groups:
            for item in items_of(groups, keyword)[:1]:
                elements |= elements_of(item)
    frame_type = elements.pop(Tag("FrameType"), None)
    if isinstance(frame_type, DataElement):
        elements[Tag("ImageType")] = DataElement("ImageType", "CS", frame_type.value)
    return elements


def _add_contrast(header: Dataset, groups: tuple[Dataset, ...]) -> None:
    """Name the agent, unless the frames say that it was not given (PS3.3 C.7.6.16.2.12)."""
    agents = [
        text_of(agent, "CodeMeaning")
        for agent in items_of(header, "ContrastBolusAgentSequence")
    ]
    usages = [use for item in groups for use in items_of(item, "ContrastBolusUsageSequence")]
    given = [text_of(use, "ContrastBolusAgentAdministered") for use in usages]
    if any(agents) and "ContrastBolusAgent" not in header and set(given) != {"NO"}:
        header.ContrastBolusAgent = ", ".join(filter(None, agents))
