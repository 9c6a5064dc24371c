"""Varied results for the validators; a number always gives the same result.

The lengths of the lists below have no common divisor, so that 200 numbers give 200 different
combinations and the first 24 use every entry of every list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.uid import (
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from tests.support.factories import MODEL, PROBABILITIES, make_ct_headers, make_screening
from tests.support.report_cases import (
    CLINICAL_MODEL,
    METAL,
    OUT_OF_DISTRIBUTION,
    as_frames,
    composed,
)
from tests.validators.varied_spines import UNSEEN, as_read, spine_name, with_spine
from worker.pipeline.previous import PreviousHip, PreviousResult
from worker.pipeline.reasons import Reason
from worker.pipeline.results import Grade, Hip, Screening

NORMAL, OSTEOPENIA, OSTEOPOROSIS = Grade


@dataclass(frozen=True, slots=True)
class VariedResult:
    """A screening, earlier results of the patient, and whether to build a parametric map."""

    name: str
    screening: Screening
    previous: tuple[PreviousResult, ...]
    parametric_map: bool


AXIAL: dict[str, Any] = {"orientation": "axial", "slices": 60, "slice_mm": 5.0}

# Name → geometry of the source, and arguments of the planes.
SOURCES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "coronal": ({}, {}),
    "coronal, two planes": ({}, {"planes": (4, 8)}),
    "axial": (AXIAL | {"size": (128, 512), "pixel_mm": (3.2, 0.8)}, {"planes": (62, 66)}),
    "axial, turned": (
        AXIAL | {"size": (128, 320), "pixel_mm": (3.2, 1.3)},
        {"turns_deg": (-21.0, 9.0)},
    ),
    "coronal, 256 columns": ({"size": (256, 256), "pixel_mm": (1.8, 1.8)}, {}),
    "enhanced CT": ({}, {"planes": (5, 7)}),
    "coronal, flipped": ({"flipped": True}, {}),
    "legacy converted, axial": (AXIAL | {"size": (128, 256), "pixel_mm": (3.2, 1.6)}, {}),
    "coronal, not square": ({"size": (300, 512), "pixel_mm": (1.4, 0.9)}, {}),
    "coronal, odd size": ({"size": (301, 535)}, {}),
    "axial, no frame of reference": (
        AXIAL | {"size": (128, 256), "pixel_mm": (3.2, 1.6), "FrameOfReferenceUID": None},
        {},
    ),
}
GEOMETRY = frozenset(
    {"SliceThickness", *(name for geometry, _ in SOURCES.values() for name in geometry)}
)
MULTI_FRAME = {
    "enhanced CT": EnhancedCTImageStorage,
    "legacy converted, axial": LegacyConvertedEnhancedCTImageStorage,
}

HIPS: tuple[tuple[Grade | Reason | None, Grade | Reason | None], ...] = (
    (OSTEOPENIA, OSTEOPOROSIS),
    (NORMAL, NORMAL),
    (None, OSTEOPOROSIS),
    (NORMAL, METAL),
    (OUT_OF_DISTRIBUTION, OSTEOPENIA),
    (METAL, OUT_OF_DISTRIBUTION),
    (OSTEOPOROSIS, OSTEOPOROSIS),
    (OSTEOPENIA, OSTEOPENIA),
    (NORMAL, OSTEOPENIA),
    (None, None),
    (OSTEOPOROSIS, NORMAL),
    (METAL, METAL),
    (OSTEOPENIA, None),
)

# Names of PS3.5 Annexes H to K, and one in each other repertoire of PS3.3 C.12.1.1.2.
NAMES: dict[str, tuple[str | list[str], str]] = {
    "Latin 1": ("ISO_IR 100", "Müller^Jörg"),
    "Korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "Japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "Japanese, half-width": (
        ["ISO 2022 IR 13", "ISO 2022 IR 87"],
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    "Arabic": ("ISO_IR 127", "قباني^لنزار"),
    "Cyrillic": ("ISO_IR 144", "Люкceмбypг"),
    "Greek": ("ISO_IR 126", "Διονυσιος"),
    "Chinese": ("GB18030", "Wang^XiaoDong=王^小东"),
    "UTF-8": ("ISO_IR 192", "Buc^Jérôme=Βυκ^Ιερώνυμος"),
}
NO_NAME = dict.fromkeys(("SpecificCharacterSet", "PatientName"))


def _item(**values: str) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


HEADERS: dict[str, Mapping[str, Any]] = {
    "full": {},
    "no demographics": dict.fromkeys(
        ("PatientBirthDate", "PatientAge", "PatientSize", "PatientWeight")
    ),
    "bare": NO_NAME
    | dict.fromkeys(
        (
            "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize",
            "PatientWeight", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
            "ReferringPhysicianName", "Manufacturer", "ManufacturerModelName",
            "BodyPartExamined", "SeriesNumber", "InstanceNumber", "SliceThickness",
        )
    ),
    "rich": {
        "RequestAttributesSequence": [
            _item(RequestedProcedureID="RP-7", RequestedProcedureDescription="CT abdomen")
        ],
        "ProcedureCodeSequence": [
            _item(
                CodeValue="CTABD",
                CodingSchemeDesignator="99LOCAL",
                CodeMeaning="CT abdomen with contrast",
            )
        ],
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "8.5",
        "LossyImageCompressionMethod": "ISO_10918_1",
        "TimezoneOffsetFromUTC": "+0930",
        "BodyPartExamined": "HIP",
    },
    "unknown sex, 45 years, no request": {
        "PatientSex": "X", "PatientAge": "045Y", "PatientBirthDate": "19810314",
        "AccessionNumber": "", "StudyID": "",
    },
    "long values": {
        "PatientID": "P" * 64,
        "StudyDescription": "D" * 64,
        "AccessionNumber": "A" * 16,
        "StudyID": "S" * 16,
        "ReferringPhysicianName": "R" * 64,
        "IssuerOfPatientID": "I" * 64,
        "PatientAge": None,
    },
    "de-identified": {
        "PatientIdentityRemoved": "YES",
        "DeidentificationMethod": "PS3.15 E",
        "PatientBirthDate": "",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
    },
}  # fmt: skip

WARNINGS: tuple[tuple[str, ...], ...] = (
    (),
    ("Slices overlap by 1 mm.",),
    (),
    ("Tube voltage 140 kV: trained on 120 kV.", "No contrast medium.", "Noise.", "Motion."),
)


def _previous_result(
    day: date, grade: Grade, neck_hu: float | None, *, version: str
) -> PreviousResult:
    probabilities = dict(zip(Grade, PROBABILITIES[grade], strict=True))
    hip = PreviousHip(grade, probabilities, neck_hu)
    sha256 = MODEL.sha256 if version == MODEL.version else "00" * 32
    hips = {"R": hip, "L": replace(hip, neck_hu=None) if neck_hu is None else hip}
    return PreviousResult(day, grade, MODEL.name, version, sha256, hips)


HISTORIES: tuple[tuple[PreviousResult, ...], ...] = (
    (),
    (_previous_result(date(2025, 3, 20), OSTEOPENIA, 174.6, version=MODEL.version),),
    (
        _previous_result(date(2026, 10, 2), OSTEOPOROSIS, None, version=MODEL.version),
        _previous_result(date(2019, 7, 1), NORMAL, 201.0, version=MODEL.version),
    ),
    (_previous_result(date(2024, 3, 2), NORMAL, 190.2, version="2024.1.0"),),
    (
        replace(
            _previous_result(date(2026, 1, 5), OSTEOPENIA, 160.4, version=MODEL.version),
            hips={"L": PreviousHip(OSTEOPENIA), "R": PreviousHip(None)},
        ),
    ),
)


def varied_result(number: int) -> VariedResult:
    """Return result ``number``, from 0."""
    source, (geometry, planes) = _pick(SOURCES, number)
    script, (charset, patient_name) = _pick(NAMES, number)
    header_kind, values = _pick(HEADERS, number)
    attributes: dict[str, Any] = {
        "SpecificCharacterSet": charset,
        "PatientName": patient_name,
        "StudyInstanceUID": f"1.2.826.0.1.3680043.8.498.5.{number}",
        **geometry,
        **values,
    }
    headers = make_ct_headers(**attributes)
    if source in MULTI_FRAME:
        headers = as_frames(headers, MULTI_FRAME[source])
    headers = tuple(map(as_read, headers))
    right, left = HIPS[number % len(HIPS)]
    screening = make_screening(
        headers,
        right=right,
        left=left,
        model=CLINICAL_MODEL if number % 2 else MODEL,
        warnings=WARNINGS[number % len(WARNINGS)],
        neck_hu=150.0 + number % 60,
        **planes,
    )
    generator = np.random.default_rng(number)
    hips = tuple(_with_probabilities(hip, generator) for hip in screening.hips)
    if number % 8 == 3:
        hips = tuple(replace(hip, neck=UNSEEN if hip.neck else None) for hip in hips)
    both = len(hips) == 2 and all(hip.grade for hip in hips)
    if number % 9 == 7 and both and "no frame" not in source:
        screening = composed(replace(screening, hips=hips), replace(screening, hips=hips))
        hips, source = screening.hips, f"{source}, two series"
    of_study = {key: attributes[key] for key in attributes if key not in GEOMETRY}
    screening = with_spine(number, replace(screening, hips=hips), of_study)
    history = HISTORIES[number % len(HISTORIES)] if "StudyDate" in headers[0] else ()
    return VariedResult(
        f"{number}: {source}{spine_name(screening)}, {script}, {header_kind}",
        screening,
        history,
        parametric_map=number % 3 == 0,
    )


def _pick(choices: Mapping[str, Any], number: int) -> tuple[str, Any]:
    return list(choices.items())[number % len(choices)]


def _with_probabilities(hip: Hip, generator: np.random.Generator) -> Hip:
    """Return the hip with random probabilities of which its grade has the highest."""
    if hip.grade is None:
        return hip
    values = np.sort(generator.dirichlet((1, 1, 1)))
    others = [grade for grade in Grade if grade is not hip.grade]
    named: Sequence[tuple[Grade, float]] = [
        (hip.grade, float(values[2])),
        *zip(others, values[:2].tolist(), strict=True),
    ]
    return replace(hip, probabilities=dict(named))
