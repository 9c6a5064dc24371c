"""Which series and which hips may be graded: one small function a reason.

``check_images`` looks at headers in any order, ``check_series`` at a sorted series,
``check_hip`` and ``missing_hip`` at one side of a volume. Every rule answers None or a
``Reason`` whose sentence carries the numbers and never patient data.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from itertools import pairwise

import numpy as np
from pydicom import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from worker.pipeline import geometry
from worker.pipeline.geometry import known
from worker.pipeline.results import Reason, ReasonCode, Series

MIN_SLICES = 10
MAX_OBLIQUITY_DEG = 20.0
MAX_GANTRY_TILT_DEG = 2.0
# Rounded positions make steps uneven by a few per cent; a missing slice doubles one.
MAX_UNEVENNESS = 0.25
SAME_POSITION_MM = 0.01
MAX_SLICE_SPACING_MM = 6.0
MIN_AGE_YEARS = 18

MULTI_FRAME = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
NO_HU_IMAGE_TYPES = frozenset({"MIP", "MINIP", "MINIMUM", "MAXIMUM", "VRT", "VOLUME RENDERING"})
SCOUT_IMAGE_TYPES = frozenset({"LOCALIZER", "SCOUT", "TOPOGRAM"})

ImagesRule = Callable[[Sequence[Dataset]], Reason | None]
SeriesRule = Callable[[Series], Reason | None]


def check_images(headers: Sequence[Dataset]) -> Reason | None:
    """The first reason why these images are no CT volume, or None; any order of headers."""
    return next((reason for rule in IMAGES_RULES if (reason := rule(headers))), None)


def check_series(series: Series) -> Reason | None:
    """The first reason why a sorted series cannot be screened, or None."""
    return next((reason for rule in SERIES_RULES if (reason := rule(series))), None)


def not_ct(headers: Sequence[Dataset]) -> Reason | None:
    """Other modalities, colour captures and projections hold no HU of a slice."""
    for ds in headers:
        sop_class = geometry.text_of(ds, "SOPClassUID")
        if sop_class not in (CTImageStorage, *MULTI_FRAME):
            modality = geometry.text_of(ds, "Modality") or "unknown modality"
            return Reason(ReasonCode.NOT_CT, f"Not a CT image ({modality}).")
        photometric = geometry.text_of(ds, "PhotometricInterpretation")
        if photometric not in ("", "MONOCHROME2"):
            return Reason(ReasonCode.NOT_CT, f"A {photometric} picture, not CT values.")
        kinds = _image_type(ds) & NO_HU_IMAGE_TYPES
        if kinds:
            kind = min(kinds)
            return Reason(ReasonCode.NOT_CT, f"A projection ({kind}), not CT values of slices.")
    return None


def localizer(headers: Sequence[Dataset]) -> Reason | None:
    """Scouts and dose reports (PS3.3 C.8.2.1.1.1, Image Type value 3)."""
    scouts = sum(bool(_image_type(ds) & SCOUT_IMAGE_TYPES) for ds in headers)
    if scouts:
        return Reason(
            ReasonCode.LOCALIZER, f"{scouts} of {len(headers)} images are localizers (scouts)."
        )
    if any("DOSE" in kind for ds in headers for kind in _image_type(ds)):
        return Reason(ReasonCode.LOCALIZER, "A dose report, not slices of a patient.")
    return None


def multi_frame(headers: Sequence[Dataset]) -> Reason | None:
    """Enhanced CT keeps all slices in one object, which ``load`` does not read."""
    if any(geometry.text_of(ds, "SOPClassUID") in MULTI_FRAME for ds in headers):
        return Reason(ReasonCode.UNDECODABLE, "Multi-frame (Enhanced) CT is not supported.")
    frames = max(geometry.number_of(ds, "NumberOfFrames") or 1 for ds in headers)
    if frames > 1:
        return Reason(ReasonCode.UNDECODABLE, f"An image has {frames:.0f} frames, not one.")
    return None


def mixed(headers: Sequence[Dataset]) -> Reason | None:
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
    return None


def no_geometry(headers: Sequence[Dataset]) -> Reason | None:
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
    return None


def mixed_geometry(headers: Sequence[Dataset]) -> Reason | None:
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
    return None


def too_few_slices(series: Series) -> Reason | None:
    """A volume needs slices."""
    count = len(series.headers)
    if count >= MIN_SLICES:
        return None
    slices = "slice" if count == 1 else "slices"
    return Reason(
        ReasonCode.TOO_FEW_SLICES, f"{count} {slices}, at least {MIN_SLICES} are needed."
    )


def orientation(series: Series) -> Reason | None:
    """Coronal or axial, near the patient's axes."""
    if series.orientation == "sagittal":
        return Reason(ReasonCode.ORIENTATION, "Sagittal slices; coronal or axial are needed.")
    angle = geometry.obliquity_deg(_directions(series))
    if angle > MAX_OBLIQUITY_DEG:
        text = f"Oblique by {angle:.0f}°, at most {MAX_OBLIQUITY_DEG:.0f}° are accepted."
        return Reason(ReasonCode.ORIENTATION, text)
    return None


def gantry_tilt(series: Series) -> Reason | None:
    """Slices shifted against each other: the positions tell it, the header's tilt may lie."""
    first, last = (known(geometry.position_of(series.headers[i])) for i in (0, -1))
    step = last - first
    length = float(np.linalg.norm(step))
    if length < SAME_POSITION_MM:
        return None
    cosine = abs(float(step @ geometry.normal_of(_directions(series)))) / length
    angle = float(np.degrees(np.arccos(min(1.0, cosine))))
    if angle <= MAX_GANTRY_TILT_DEG:
        return None
    return Reason(
        ReasonCode.ORIENTATION, f"The slices are sheared by {angle:.0f}° (gantry tilt)."
    )


def gaps(series: Series) -> Reason | None:
    """Even steps, no position twice, no step too wide to see a neck."""
    distances = geometry.distances_along(
        series.headers, geometry.normal_of(_directions(series))
    )
    assert distances is not None  # noqa: S101 - no_geometry saw to it
    steps = np.array([after - before for before, after in pairwise(distances)])
    if steps.size == 0:
        return None
    doubles = int((steps < SAME_POSITION_MM).sum())
    if doubles:
        text = f"{doubles} of {len(distances)} slices lie at a position that is taken."
        return Reason(ReasonCode.GAPS, text)
    usual, widest = float(np.median(steps)), float(steps.max())
    if np.abs(steps - usual).max() > MAX_UNEVENNESS * usual:
        text = f"Missing or uneven slices: usually {usual:.1f} mm apart, up to {widest:.1f} mm."
        return Reason(ReasonCode.GAPS, text)
    if usual > MAX_SLICE_SPACING_MM:
        limit = f"at most {MAX_SLICE_SPACING_MM:.0f} mm are accepted"
        return Reason(ReasonCode.GAPS, f"Slices are {usual:.1f} mm apart, {limit}.")
    return None


def too_young(series: Series) -> Reason | None:
    """Growing bone is another question. Any header that says so counts; none is normal."""
    ds = series.headers[0]
    ages = (_stated_age_years(ds), _age_by_dates_years(ds))
    if any(age is not None and age < MIN_AGE_YEARS for age in ages):
        text = f"The patient is younger than {MIN_AGE_YEARS} years."
        return Reason(ReasonCode.TOO_YOUNG, text)
    return None


IMAGES_RULES: tuple[ImagesRule, ...] = (
    not_ct, localizer, multi_frame, mixed, no_geometry, mixed_geometry
)  # fmt: skip
SERIES_RULES: tuple[SeriesRule, ...] = (
    orientation, too_few_slices, gantry_tilt, gaps, too_young
)  # fmt: skip


def _directions(series: Series) -> geometry.Array:
    return known(geometry.directions_of(series.headers[0]))


def _image_type(ds: Dataset) -> frozenset[str]:
    value = geometry.value_of(ds, "ImageType")
    values = [value] if isinstance(value, str) else value or []
    return frozenset(str(item).strip().upper() for item in values)  # type: ignore[attr-defined]


def _stated_age_years(ds: Dataset) -> float | None:
    """PatientAge, PS3.5 6.2 VR AS: three digits and D, W, M or Y."""
    match = re.fullmatch(r"(\d{1,3})([DWMY])", geometry.text_of(ds, "PatientAge").upper())
    if match is None:
        return None
    return int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}[match[2]]


def _age_by_dates_years(ds: Dataset) -> float | None:
    born = _date(geometry.text_of(ds, "PatientBirthDate"))
    studied = _date(geometry.text_of(ds, "StudyDate"))
    if born is None or studied is None or studied < born:
        return None
    return (studied - born).days / 365.25


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{8}", text) else None
    except ValueError:
        return None
