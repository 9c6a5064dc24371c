"""Which images are slices of one CT volume, asked before they can be sorted.

One small function a rule; every one answers a ``Reason``, or what it found. A missing or
malformed header value is a reason, never an error.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from pydicom import Dataset
from pydicom.uid import CTImageStorage

from worker.pipeline import geometry
from worker.pipeline.checks import Rules, ask
from worker.pipeline.frames import MULTI_FRAME, is_multi_frame
from worker.pipeline.results import Check, Reason, ReasonCode, Verdict

NO_HU_IMAGE_TYPES = frozenset({"MIP", "MINIP", "MINIMUM", "MAXIMUM", "VRT", "VOLUME RENDERING"})
# Volume Based Calculation Technique of a frame (PS3.3 C.8.16.2).
NO_HU_TECHNIQUES = frozenset(
    {"MAX_IP", "MIN_IP", "VOLUME_RENDER", "SURFACE_RENDER", "CURVED_MPR"}
)
# Rescale Type (PS3.3 C.11.1.1.2): US is "unspecified", which some write for HU.
HU_TYPES = frozenset({"", "HU", "US"})
SCOUT_IMAGE_TYPES = frozenset({"LOCALIZER", "SCOUT", "TOPOGRAM"})


def check_images(headers: Sequence[Dataset]) -> tuple[Check, ...]:
    """Whether these images are one CT volume; any order of headers."""
    return ask(IMAGES_RULES, headers)


def not_ct(headers: Sequence[Dataset]) -> Verdict:
    """Other modalities, colour captures and projections hold no HU of a slice."""
    for ds in headers:
        sop_class = geometry.text_of(ds, "SOPClassUID")
        if sop_class not in (CTImageStorage, *MULTI_FRAME):
            modality = _code(ds, "Modality") or "unknown modality"
            return Reason(ReasonCode.NOT_CT, f"Not a CT image ({modality}).")
        photometric = geometry.text_of(ds, "PhotometricInterpretation")
        if photometric not in ("", "MONOCHROME2"):
            kind = _code(ds, "PhotometricInterpretation") or "malformed"
            return Reason(ReasonCode.NOT_CT, f"A {kind} picture, not CT values.")
        kinds = _image_type(ds) & NO_HU_IMAGE_TYPES
        kinds |= {_code(ds, "VolumeBasedCalculationTechnique")} & NO_HU_TECHNIQUES
        if kinds:
            kind = min(kinds)
            return Reason(ReasonCode.NOT_CT, f"A projection ({kind}), not CT values of slices.")
    return f"{len(headers)} images of CT."


def not_hu(headers: Sequence[Dataset]) -> Verdict:
    """Maps of a multi-energy scan (effective Z, iodine, electron density) look like CT."""
    for ds in headers:
        if geometry.text_of(ds, "RescaleType").upper() not in HU_TYPES:
            kind = _code(ds, "RescaleType") or "an unknown unit"
            return Reason(ReasonCode.NOT_CT, f"The values are {kind}, not HU.")
    return "Every value is in HU, or its unit is not said."


def localizer(headers: Sequence[Dataset]) -> Verdict:
    """Scouts and dose reports (PS3.3 C.8.2.1.1.1, Image Type value 3)."""
    scouts = sum(bool(_image_type(ds) & SCOUT_IMAGE_TYPES) for ds in headers)
    if scouts:
        return Reason(
            ReasonCode.LOCALIZER, f"{scouts} of {len(headers)} images are localizers (scouts)."
        )
    if any("DOSE" in kind for ds in headers for kind in _image_type(ds)):
        return Reason(ReasonCode.LOCALIZER, "A dose report, not slices of a patient.")
    return f"None of {len(headers)} images."


def frames(headers: Sequence[Dataset]) -> Verdict:
    """Every frame of a multi-frame object is described, and others have one frame."""
    described = Counter(
        geometry.text_of(ds, "SOPInstanceUID")
        for ds in headers
        if geometry.frame_of(ds) is not None
    )
    for ds in headers:
        count = geometry.number_of(ds, "NumberOfFrames") or 1
        if count != 1 and not is_multi_frame(ds):
            text = f"A single-frame image has {count:.0f} frames."
            return Reason(ReasonCode.UNDECODABLE, text)
        if is_multi_frame(ds):
            known = described[geometry.text_of(ds, "SOPInstanceUID")]
            if count != known:
                text = f"{known} of {count:.0f} frames of a multi-frame image are described."
                return Reason(ReasonCode.UNDECODABLE, text)
    multi = len(described)
    return f"{multi} multi-frame images, all described." if multi else "Single-frame images."


def concatenation(headers: Sequence[Dataset]) -> Verdict:
    """An image that is sent in parts is whole (PS3.3 C.7.6.16.1), where its parts count."""
    parts: defaultdict[str, set[float | None]] = defaultdict(set)
    totals: dict[str, int] = {}
    for ds in headers:
        total = geometry.number_of(ds, "InConcatenationTotalNumber")
        if total is not None:
            uid = geometry.text_of(ds, "ConcatenationUID")
            parts[uid].add(geometry.number_of(ds, "InConcatenationNumber"))
            totals[uid] = int(total)
    for uid, total in totals.items():
        if len(parts[uid]) < total:
            text = f"{len(parts[uid])} of {total} parts of a multi-frame image are there."
            return Reason(ReasonCode.GAPS, text)
    return f"{len(totals)} images in parts, all there." if totals else "No image in parts."


def no_uids(headers: Sequence[Dataset]) -> Verdict:
    """SR and SC refer to the images by UID, and files are named by that of the series."""
    keywords = "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"
    without = sum(not all(geometry.uid_of(ds, name) for name in keywords) for ds in headers)
    if not without:
        return f"{len(headers)} images, all with usable UIDs."
    text = f"{without} of {len(headers)} images have no usable study, series or instance UID."
    return Reason(ReasonCode.UNDECODABLE, text)


def mixed(headers: Sequence[Dataset]) -> Verdict:
    """One patient, study, frame of reference, matrix and pixel spacing."""
    same = {
        "patients": "PatientID",
        "studies": "StudyInstanceUID",
        "frames of reference": "FrameOfReferenceUID",
    }
    for name, keyword in same.items():
        count = len({geometry.text_of(ds, keyword) for ds in headers})
        if count > 1:
            return Reason(ReasonCode.MIXED, f"The images belong to {count} {name}, not one.")
    shapes = {
        (geometry.number_of(ds, "Rows"), geometry.number_of(ds, "Columns")) for ds in headers
    }
    if len(shapes) > 1:
        return Reason(ReasonCode.MIXED, f"The images have {len(shapes)} sizes, not one.")
    rows, columns = ("?" if size is None else f"{size:.0f}" for size in shapes.pop())
    return f"One of each, {rows} × {columns} pixels."


def no_geometry(headers: Sequence[Dataset]) -> Verdict:
    """Position and orientation of every image, or nothing can be measured."""
    total = len(headers)
    missing = sum(geometry.directions_of(ds) is None for ds in headers)
    if missing:
        text = f"{missing} of {total} images have no usable orientation in the patient."
        return Reason(ReasonCode.ORIENTATION, text)
    missing = sum(geometry.position_of(ds) is None for ds in headers)
    if missing:
        text = f"{missing} of {total} images have no usable position in the patient."
        return Reason(ReasonCode.ORIENTATION, text)
    return f"{total} images, all with both."


def mixed_geometry(headers: Sequence[Dataset]) -> Verdict:
    """One orientation and one pixel spacing (to be asked after ``no_geometry``)."""
    directions = np.array([geometry.directions_of(ds) for ds in headers])
    if np.abs(directions - directions[0]).max() > 1e-2:
        counts = Counter(geometry.orientation_of(each) for each in directions)
        found = ", ".join(f"{count} {name}" for name, count in counts.most_common())
        return Reason(ReasonCode.MIXED, f"The images have several orientations ({found}).")
    spacings = [geometry.spacing_of(ds) for ds in headers]
    missing = sum(spacing is None for spacing in spacings)
    if missing:
        text = f"{missing} of {len(headers)} images have no usable pixel spacing."
        return Reason(ReasonCode.UNDECODABLE, text)
    if np.ptp(np.array(spacings, float), axis=0).max() > 1e-3:
        return Reason(ReasonCode.MIXED, "The images have several pixel spacings, not one.")
    rows_mm, columns_mm = geometry.known(spacings[0])
    return f"One orientation, pixels of {rows_mm:.2f} × {columns_mm:.2f} mm."


IMAGES_RULES: "Rules[[Sequence[Dataset]]]" = {
    "ct": ("slices of CT, neither a projection nor a picture in color", not_ct),
    "hounsfield_units": ("values in HU", not_hu),
    "no_localizer": ("neither a localizer (scout) nor a dose report", localizer),
    "frames": ("every frame of a multi-frame image is described", frames),
    "whole_images": ("an image that is sent in parts has all of them", concatenation),
    "uids": ("usable study, series and instance UID of every image", no_uids),
    "one_volume": ("one patient, study, frame of reference and size of the images", mixed),
    "geometry": ("orientation and position of every image", no_geometry),
    "one_geometry": ("one orientation and one pixel spacing", mixed_geometry),
}


def _code(ds: Dataset, keyword: str) -> str:
    """A value that is a code string (PS3.5 6.2, CS): others may be pieces of a damaged
    header, patient data among them, and belong into no reason."""
    text = geometry.text_of(ds, keyword)
    return text if re.fullmatch(r"[A-Z0-9_ ]{1,16}", text) else ""


def _image_type(ds: Dataset) -> frozenset[str]:
    value = geometry.value_of(ds, "ImageType")
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return frozenset(str(item).strip().upper() for item in values)
