"""What the headers of one series say that its rank depends on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import Dataset

from common.dicom.patient_values import stated_text
from common.dicom.series_rules import SeriesProperties, properties_of
from worker.pipeline import header_values, load
from worker.pipeline.header_values import number_of, source_header
from worker.pipeline.ranking.kernel import KernelKind, kernel_kind
from worker.pipeline.ranking.phase import Phase, phase_of
from worker.pipeline.reasons import Check, Reason
from worker.pipeline.results import Rejected
from worker.pipeline.series_headers import SeriesHeaders, read_headers
from worker.pipeline.validation import eligibility
from worker.pipeline.validation.identity import Identity, identity_of
from worker.pipeline.validation.patient import ALL_ADULTS, PATIENT_RULES, PatientRules
from worker.pipeline.validation.rules import apply_rules, first_failure
from worker.pipeline.volume import Orientation

MAX_SERIES_NUMBER = 99_999
# Images of a series whose headers are read: by name the first, the last and one between them.
SAMPLE = 3


@dataclass(frozen=True, slots=True)
class StudySeries:
    """The files of one series of a study; ``refused`` more were refused at reception."""

    series_instance_uid: str
    paths: tuple[Path, ...]
    refused: int = 0


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """Facts of one series; None or ``""`` where its headers do not state them.

    ``reason`` : why the series cannot be screened, by the rules that need headers only, which
    ``checks`` lists.
    ``against_patient`` : the reason against the patient (age, opt-out), also where ``reason``
    is another one.
    ``covered_l`` : volume of the slices, in liters. ``properties`` : what the rules of
    the site refer to; may hold patient data in damaged headers, as ``identity`` does.
    """

    series_instance_uid: str
    reason: Reason | None
    against_patient: Reason | None = None
    images: int = 0
    number: int | None = None
    orientation: Orientation | None = None
    thickness_mm: float | None = None
    kernel: KernelKind = "unknown"
    phase: Phase = "unknown"
    original: bool = False
    covered_l: float = 0.0
    checks: tuple[Check, ...] = field(default=(), repr=False)
    properties: SeriesProperties = field(default=SeriesProperties({}), repr=False)
    identity: Identity = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The series in words without patient data: ``series 4, coronal 3 mm, soft kernel``."""
        number = "series without number" if self.number is None else f"series {self.number}"
        thickness = None if self.thickness_mm is None else f"{self.thickness_mm:g} mm"
        shape = " ".join(filter(None, (self.orientation, thickness)))
        kernel = None if self.kernel == "unknown" else f"{self.kernel} kernel"
        return ", ".join(filter(None, (number, shape, kernel)))


def read_facts(series: StudySeries, patients: PatientRules = ALL_ADULTS) -> SeriesFacts:
    """Read some headers of a series; decode no pixel.

    ``SAMPLE`` images tell what all images of a sound series have in common, at a small part of
    the cost. ``screen`` reads all headers of a series before its pixels, and rejects it then.
    """
    read = _read(series.paths)
    if isinstance(read, Rejected):
        return SeriesFacts(series.series_instance_uid, read.reason, checks=read.checks)
    source = source_header(read.headers)
    images = max(len(series.paths), len(read.headers))
    thickness_mm = _thickness_mm(source)
    checks = _checks(read, images, series.refused, patients)
    return SeriesFacts(
        series_instance_uid=series.series_instance_uid,
        reason=first_failure(checks),
        against_patient=_against_patient(read, patients),
        images=images,
        number=_number(source),
        orientation=_orientation(source),
        thickness_mm=thickness_mm,
        kernel=kernel_kind(source),
        phase=phase_of(source),
        original=_is_original(source),
        covered_l=_covered_l(source, images, thickness_mm),
        checks=checks,
        properties=properties_of(source, thickness_mm),
        identity=identity_of(read.headers),
    )


def _read(paths: Sequence[Path]) -> SeriesHeaders | Rejected:
    """Read a sample of the files, or all where each holds many images."""
    ordered = sorted(paths)
    places = np.linspace(0, max(0, len(ordered) - 1), SAMPLE).round().astype(int)
    read = read_headers([ordered[i] for i in sorted(set(places.tolist()))], sample=True)
    if isinstance(read, Rejected) or header_values.frame_of(read.headers[0]) is None:
        return read
    return read_headers(ordered)


def _checks(
    read: SeriesHeaders, images: int, refused: int, patients: PatientRules
) -> tuple[Check, ...]:
    """Apply those rules of ``screen`` that a few headers and the number of images answer."""
    ordered = load.sort_slices(read)
    if isinstance(ordered, Rejected):
        return ordered.checks
    return (*ordered.checks, *eligibility.check_sample(ordered, images, refused, patients))


def _against_patient(read: SeriesHeaders, patients: PatientRules) -> Reason | None:
    return first_failure(apply_rules(PATIENT_RULES, read.headers, patients))


def _number(source: Dataset) -> int | None:
    """Return SeriesNumber where it is one: a damaged header may hold anything."""
    number = number_of(source, "SeriesNumber")
    if number is None or not 0 <= number <= MAX_SERIES_NUMBER:
        return None
    return int(number)


def _orientation(source: Dataset) -> Orientation | None:
    directions = header_values.directions_of(source)
    return None if directions is None else header_values.orientation_of(directions)


def _thickness_mm(source: Dataset) -> float | None:
    """Return SliceThickness in mm, rounded: reformats of 3 mm state 2.98 and 3.0001."""
    number = number_of(source, "SliceThickness")
    return None if number is None or not 0 < number <= 100 else round(number, 1)


def _is_original(source: Dataset) -> bool:
    """Return whether the pixels are original (PS3.3 C.7.6.1.1.2, Image Type value 1)."""
    return stated_text(source, "ImageType").strip("[' ").upper().startswith("ORIGINAL")


def _covered_l(source: Dataset, images: int, thickness_mm: float | None) -> float:
    """Return the volume of all slices, in steps of 0.1 l."""
    spacing = header_values.spacing_of(source)
    rows, columns = (number_of(source, name) for name in ("Rows", "Columns"))
    step_mm = number_of(source, "SpacingBetweenSlices") or thickness_mm
    if spacing is None or rows is None or columns is None or step_mm is None:
        return 0.0
    area_mm2 = rows * spacing[0] * columns * spacing[1]
    return round(images * abs(step_mm) * area_mm2 / 1e6, 1)
