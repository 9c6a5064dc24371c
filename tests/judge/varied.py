"""Results as varied as hospitals are: number n always means the same one.

The lists below have lengths without a common divisor, so that 200 numbers meet 200 different
combinations and the first 24 meet every entry of every list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from io import BytesIO
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
)

from tests.factories import MODEL, PROBABILITIES, make_ct_headers, make_screening
from tests.report_cases import CLINICAL_MODEL, METAL, OUT_OF_DISTRIBUTION
from worker.pipeline.previous import PreviousHip, PreviousResult
from worker.pipeline.results import Grade, Hip, NeckUnseen, Reason, Screening

Headers = tuple[Dataset, ...]
NORMAL, OSTEOPENIA, OSTEOPOROSIS = Grade


@dataclass(frozen=True, slots=True)
class Result:
    """A screening, what our record knows of the patient, and whether a map is wanted."""

    name: str
    screening: Screening
    previous: tuple[PreviousResult, ...]
    parametric_map: bool


def _frames_of(headers: Headers, sop_class_uid: str) -> Headers:
    """The slices as frames of one multi-frame object."""
    for number, header in enumerate(headers, 1):
        header.SOPClassUID = sop_class_uid
        header.SOPInstanceUID = headers[0].SOPInstanceUID
        header.ReferencedFrameNumber = number
    return headers


AXIAL: dict[str, Any] = {"orientation": "axial", "slices": 60, "slice_mm": 5.0}

# Name → geometry of the source, and how its planes are taken.
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

# Names as PS3.5 Annexes H to K spell them, and one in each other repertoire of C.12.1.1.2.
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
    "unknown sex, no request": {"PatientSex": "X", "AccessionNumber": "", "StudyID": ""},
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


def _then(day: date, grade: Grade, neck_hu: float | None, *, version: str) -> PreviousResult:
    chances = dict(zip(Grade, PROBABILITIES[grade], strict=True))
    hip = PreviousHip(grade, chances, neck_hu)
    sha256 = MODEL.sha256 if version == MODEL.version else "00" * 32
    hips = {"R": hip, "L": replace(hip, neck_hu=None) if neck_hu is None else hip}
    return PreviousResult(day, grade, MODEL.name, version, sha256, hips)


BEFORE: tuple[tuple[PreviousResult, ...], ...] = (
    (),
    (_then(date(2025, 3, 20), OSTEOPENIA, 174.6, version=MODEL.version),),
    (
        _then(date(2026, 10, 2), OSTEOPOROSIS, None, version=MODEL.version),
        _then(date(2019, 7, 1), NORMAL, 201.0, version=MODEL.version),
    ),
    (_then(date(2024, 3, 2), NORMAL, 190.2, version="2024.1.0"),),
    (
        replace(
            _then(date(2026, 1, 5), OSTEOPENIA, 160.4, version=MODEL.version),
            hips={"L": PreviousHip(OSTEOPENIA), "R": PreviousHip(None)},
        ),
    ),
)


def varied(number: int) -> Result:
    """Result ``number``, from 0."""
    source, (script, (charset, patient_name)), (kind, values) = (
        _of(SOURCES, number)[0],
        _of(NAMES, number),
        _of(HEADERS, number),
    )
    geometry, planes = SOURCES[source]
    attributes: dict[str, Any] = {
        "SpecificCharacterSet": charset,
        "PatientName": patient_name,
        "StudyInstanceUID": f"1.2.826.0.1.3680043.8.498.5.{number}",
        **geometry,
        **values,
    }
    headers = make_ct_headers(**attributes)
    if source in MULTI_FRAME:
        headers = _frames_of(headers, MULTI_FRAME[source])
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
    chances = np.random.default_rng(number)
    hips = tuple(_with_chances(hip, chances) for hip in screening.hips)
    if number % 8 == 3:
        unseen = NeckUnseen("The outline of the neck cannot be seen.")
        hips = tuple(replace(hip, neck=unseen if hip.neck else None) for hip in hips)
    before = BEFORE[number % len(BEFORE)] if "StudyDate" in headers[0] else ()
    return Result(
        f"{number}: {source}, {script}, {kind}",
        replace(screening, hips=hips),
        before,
        parametric_map=number % 3 == 0,
    )


def _of(choices: Mapping[str, Any], number: int) -> tuple[str, Any]:
    return list(choices.items())[number % len(choices)]


def _with_chances(hip: Hip, generator: np.random.Generator) -> Hip:
    """Probabilities of its own, the grade the most probable of them."""
    if hip.grade is None:
        return hip
    chances = np.sort(generator.dirichlet((1, 1, 1)))
    others = [grade for grade in Grade if grade is not hip.grade]
    named: Sequence[tuple[Grade, float]] = [
        (hip.grade, float(chances[2])),
        *zip(others, chances[:2].tolist(), strict=True),
    ]
    return replace(hip, probabilities=dict(named))


def as_read(header: Dataset) -> Dataset:
    """The header as out of a file: its text in bytes of its own character set."""
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = BytesIO()
    dcmwrite(file, header, enforce_file_format=True)
    read: Dataset = dcmread(BytesIO(file.getvalue()))
    return read
