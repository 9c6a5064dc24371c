"""Rules for the images of a series, applied before they can be sorted.

One function a rule; each returns a ``Reason`` or a sentence with what it found. A missing or
malformed header value gives a reason, never an error.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from pydicom import Dataset
from pydicom.uid import CTImageStorage, UID_dictionary

from worker.pipeline import header_values
from worker.pipeline.decoding.pixel_format import unreadable_pixels
from worker.pipeline.frames import MULTI_FRAME, is_multi_frame
from worker.pipeline.reasons import Check, Reason, ReasonCode, RuleResult
from worker.pipeline.validation.derived_images import MAX_SLICE_THICKNESS_MM, derived_image
from worker.pipeline.validation.frame_of_reference import several_frames_of_reference
from worker.pipeline.validation.identity import one_patient
from worker.pipeline.validation.image_texts import image_types_of
from worker.pipeline.validation.monoenergetic import ENERGIES_KEV, monoenergetic
from worker.pipeline.validation.patient_orientation import contradicting_orientation
from worker.pipeline.validation.rules import Rules, apply_rules

# Rescale Type (PS3.3 C.11.1.1.2): US is "unspecified", which some devices write for HU. Others
# write the words.
HU_TYPES = frozenset(
    {"", "HU", "US", "HOUNSFIELD", "HOUNSFIELD UNIT", "HOUNSFIELD UNITS", "UNSPECIFIED"}
)
NEED_ALL_IMAGES = frozenset({"whole_images"})
SCOUT_IMAGE_TYPES = frozenset({"LOCALIZER", "SCOUT", "TOPOGRAM"})


def check_images(headers: Sequence[Dataset], *, sample: bool = False) -> tuple[Check, ...]:
    """Check that images, in any order, make one CT volume.

    ``sample`` : they are some of a series, which rules that count all images do not apply to.
    """
    rules = {
        name: rule
        for name, rule in IMAGES_RULES.items()
        if not (sample and name in NEED_ALL_IMAGES)
    }
    return apply_rules(rules, headers)


def not_ct(headers: Sequence[Dataset]) -> RuleResult:
    """Reject other classes, other modalities and color captures: they hold no CT values."""
    for ds in headers:
        modality = header_values.text_of(ds, "Modality").upper()
        sop_class = header_values.text_of(ds, "SOPClassUID")
        if sop_class not in (CTImageStorage, *MULTI_FRAME) or modality not in ("", "CT"):
            known = _code(ds, "Modality") or "unknown"
            found = f"SOP class {_class_name(sop_class)}, Modality {known}"
            text = f"Not a CT image: {found}; class and Modality of CT are needed."
            return Reason(ReasonCode.NOT_CT, text)
        photometric = header_values.text_of(ds, "PhotometricInterpretation")
        if photometric not in ("", "MONOCHROME2"):
            kind = _code(ds, "PhotometricInterpretation") or "malformed"
            return Reason(ReasonCode.NOT_CT, f"A {kind} picture, not CT values.")
    return f"{len(headers)} images of CT."


def not_hu(headers: Sequence[Dataset]) -> RuleResult:
    """Reject maps of a multi-energy scan (effective Z, iodine, electron density)."""
    for ds in headers:
        if header_values.text_of(ds, "RescaleType").upper() not in HU_TYPES:
            kind = _code(ds, "RescaleType") or "an unknown unit"
            return Reason(ReasonCode.NOT_CT, f"The values are {kind}, not HU.")
    return "Every value is in HU, or its unit is not said."


def localizer(headers: Sequence[Dataset]) -> RuleResult:
    """Reject localizers and dose reports (PS3.3 C.8.2.1.1.1, Image Type value 3)."""
    scouts = sum(bool(SCOUT_IMAGE_TYPES.intersection(image_types_of(ds))) for ds in headers)
    if scouts:
        return Reason(
            ReasonCode.LOCALIZER, f"{scouts} of {len(headers)} images are localizers (scouts)."
        )
    if any("DOSE" in kind for ds in headers for kind in image_types_of(ds)):
        return Reason(ReasonCode.LOCALIZER, "A dose report, not slices of a patient.")
    return f"None of {len(headers)} images."


def undescribed_frames(headers: Sequence[Dataset]) -> RuleResult:
    """Require a description of every frame, and one frame in single-frame objects."""
    described = Counter(
        header_values.text_of(ds, "SOPInstanceUID")
        for ds in headers
        if header_values.frame_of(ds) is not None
    )
    for ds in headers:
        count = header_values.number_of(ds, "NumberOfFrames") or 1
        if count != 1 and not is_multi_frame(ds):
            text = f"A single-frame image has {count:.0f} frames."
            return Reason(ReasonCode.UNDECODABLE, text)
        if is_multi_frame(ds):
            found = described[header_values.text_of(ds, "SOPInstanceUID")]
            if count != found:
                text = f"{found} of {count:.0f} frames of a multi-frame image are described."
                return Reason(ReasonCode.UNDECODABLE, text)
    multi = len(described)
    return f"{multi} multi-frame images, all described." if multi else "Single-frame images."


def missing_parts(headers: Sequence[Dataset]) -> RuleResult:
    """Require all parts of a concatenation that states their number (PS3.3 C.7.6.16.1)."""
    parts: defaultdict[str, set[float | None]] = defaultdict(set)
    totals: dict[str, int] = {}
    for ds in headers:
        total = header_values.number_of(ds, "InConcatenationTotalNumber")
        if total is not None:
            uid = header_values.text_of(ds, "ConcatenationUID")
            parts[uid].add(header_values.number_of(ds, "InConcatenationNumber"))
            totals[uid] = int(total)
    for uid, total in totals.items():
        if len(parts[uid]) < total:
            text = f"{len(parts[uid])} of {total} parts of a multi-frame image are there."
            return Reason(ReasonCode.GAPS, text)
    return f"{len(totals)} images in parts, all there." if totals else "No image in parts."


def no_uids(headers: Sequence[Dataset]) -> RuleResult:
    """Require usable UIDs: SR and SC refer to the images by them, and files are named so."""
    keywords = "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"
    without = sum(
        not all(header_values.uid_of(ds, name) for name in keywords) for ds in headers
    )
    if not without:
        return f"{len(headers)} images, all with usable UIDs."
    text = f"{without} of {len(headers)} images have no usable study, series or instance UID."
    return Reason(ReasonCode.UNDECODABLE, text)


def mixed(headers: Sequence[Dataset]) -> RuleResult:
    """Require one study and image size."""
    same = {"studies": "StudyInstanceUID"}
    for name, keyword in same.items():
        count = len({header_values.text_of(ds, keyword) for ds in headers})
        if count > 1:
            return Reason(ReasonCode.MIXED, f"The images belong to {count} {name}, not one.")
    shapes = {
        (header_values.number_of(ds, "Rows"), header_values.number_of(ds, "Columns"))
        for ds in headers
    }
    if len(shapes) > 1:
        return Reason(ReasonCode.MIXED, f"The images have {len(shapes)} sizes, not one.")
    rows, columns = ("?" if size is None else f"{size:.0f}" for size in shapes.pop())
    return f"One of each, {rows} × {columns} pixels."


def no_geometry(headers: Sequence[Dataset]) -> RuleResult:
    """Require orientation and position of every image."""
    total = len(headers)
    missing = sum(directions is None for directions in _directions(headers))
    if missing:
        text = f"{missing} of {total} images have no usable orientation in the patient."
        return Reason(ReasonCode.ORIENTATION, text)
    missing = sum(header_values.position_of(ds) is None for ds in headers)
    if missing:
        text = f"{missing} of {total} images have no usable position in the patient."
        return Reason(ReasonCode.ORIENTATION, text)
    return f"{total} images, all with both."


def mixed_geometry(headers: Sequence[Dataset]) -> RuleResult:
    """Require one orientation and one pixel spacing; apply after ``no_geometry``."""
    directions = np.array(_directions(headers))
    if np.abs(directions - directions[0]).max() > 1e-2:
        counts = Counter(header_values.orientation_of(each) for each in directions)
        found = ", ".join(f"{count} {name}" for name, count in counts.most_common())
        return Reason(ReasonCode.MIXED, f"The images have several orientations ({found}).")
    spacings = header_values.read_each(headers, ("PixelSpacing",), header_values.spacing_of)
    missing = sum(spacing is None for spacing in spacings)
    if missing:
        text = f"{missing} of {len(headers)} images have no usable pixel spacing."
        return Reason(ReasonCode.UNDECODABLE, text)
    if np.ptp(np.array(spacings, float), axis=0).max() > 1e-3:
        return Reason(ReasonCode.MIXED, "The images have several pixel spacings, not one.")
    rows_mm, columns_mm = header_values.require(spacings[0])
    return f"One orientation, pixels of {rows_mm:.2f} × {columns_mm:.2f} mm."


def _directions(headers: Sequence[Dataset]) -> list[header_values.Array | None]:
    keywords = ("ImageOrientationPatient",)
    return header_values.read_each(headers, keywords, header_values.directions_of)


IMAGES_RULES: "Rules[[Sequence[Dataset]]]" = {
    "ct": ("slices of CT, neither a projection nor a picture in color", not_ct),
    "hounsfield_units": ("values in HU", not_hu),
    "original_values": (
        "no projection, rendering or map of a multi-energy scan, slices of at most "
        f"{MAX_SLICE_THICKNESS_MM:.0f} mm",
        derived_image,
    ),
    "energy": (
        "monoenergetic images of {:.0f} to {:.0f} keV only".format(*ENERGIES_KEV),
        monoenergetic,
    ),
    "no_localizer": ("neither a localizer (scout) nor a dose report", localizer),
    "frames": ("every frame of a multi-frame image is described", undescribed_frames),
    "whole_images": ("an image that is sent in parts has all of them", missing_parts),
    "uids": ("usable study, series and instance UID of every image", no_uids),
    "one_patient": ("one patient by ID, issuer, name, birth date and sex", one_patient),
    "one_volume": ("one study and size of the images", mixed),
    "frame_of_reference": (
        "one frame of reference, or one for each image",
        several_frames_of_reference,
    ),
    "geometry": ("orientation and position of every image", no_geometry),
    "one_geometry": ("one orientation and one pixel spacing", mixed_geometry),
    "patient_orientation": (
        "Patient Orientation agrees with Image Orientation (Patient)",
        contradicting_orientation,
    ),
    "pixel_format": (
        "sizes and bits of the pixels that agree and can be decoded",
        unreadable_pixels,
    ),
}


def _code(ds: Dataset, keyword: str) -> str:
    """Return a value that is a code string (PS3.5 6.2, CS), otherwise ``""``.

    Other values may be parts of a damaged header with patient data, which no reason may hold.
    """
    text = header_values.text_of(ds, keyword)
    return text if re.fullmatch(r"[A-Z0-9_ ]{1,16}", text) else ""


def _class_name(uid: str) -> str:
    """Return the name of a SOP class of the standard, never the value of another text."""
    return str(UID_dictionary[uid][0]) if uid in UID_dictionary else "unknown"
