"""Screenings for tests of SR and SC: every grade, side and geometry, unusual headers."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.uid import EnhancedCTImageStorage

from tests.support.factories import MODEL, make_ct_headers, make_screening
from tests.support.hip_phantom import make_volume
from tests.support.spine_results import make_lumbar, make_spine_screening
from worker.pipeline.capture.secondary_capture import build_captures, overlay_of
from worker.pipeline.compose import NamedResult, compose
from worker.pipeline.derived_header import to_bytes
from worker.pipeline.measurement_only import no_model
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.report.document import build_report
from worker.pipeline.report.regions import SopClass
from worker.pipeline.results import (
    Grade,
    Hip,
    NeckAttenuation,
    NeckNotMeasured,
    Screening,
)

AT = datetime(2026, 11, 23, 15, 30, 1, 123456, tzinfo=UTC)
METAL = Reason(ReasonCode.METAL, "metal at the hip: its artefacts hide the bone")
OUT_OF_DISTRIBUTION = Reason(
    ReasonCode.OUT_OF_DISTRIBUTION, "the picture is unlike those that the model was trained on"
)
CLINICAL_MODEL = replace(
    MODEL, name="site-image", simulated=False, training_data="2,126 patients with DXA"
)
NOT_IN_VIEW = Reason(ReasonCode.NO_FEMUR, "no femur in the field of view")
AXIAL = {"orientation": "axial", "slices": 90, "size": (128, 512), "pixel_mm": (3.2, 0.8)}


def _axial(**attributes: object) -> Screening:
    headers = make_ct_headers(**AXIAL, **attributes)  # type: ignore[arg-type]
    return make_screening(headers, planes=(62, 66))


def _not_square() -> Screening:
    headers = make_ct_headers(**AXIAL)  # type: ignore[arg-type]
    return make_screening(headers, volume=make_volume(headers, square=False))


def _turned(size: tuple[int, int], pixel_mm: tuple[float, float]) -> Screening:
    """Return two planes along the necks of a patient whose right thigh is rotated further."""
    headers = make_ct_headers(orientation="axial", slices=90, size=size, pixel_mm=pixel_mm)
    return make_screening(headers, turns_deg=(-21.0, 9.0))


def as_frames(headers: tuple[Dataset, ...], sop_class_uid: str) -> tuple[Dataset, ...]:
    """Make the slices frames of one multi-frame object."""
    for number, header in enumerate(headers, 1):
        header.SOPClassUID = sop_class_uid
        header.SOPInstanceUID = headers[0].SOPInstanceUID
        header.ReferencedFrameNumber = number
    return headers


def _enhanced() -> Screening:
    headers = as_frames(make_ct_headers(), EnhancedCTImageStorage)
    return make_screening(headers, planes=(5, 7))


def composed(first: Screening, second: Screening) -> Screening:
    """Return a result of the right hip of one series and the left hip of another."""
    parts = []
    for number, screening, side in ((4, first, "R"), (7, second, "L")):
        uid = f"1.2.826.0.1.3680043.8.498.6.{number}"
        headers = tuple(copy.deepcopy(ds) for ds in screening.headers)
        renamed: dict[str, str] = {}
        for ds in headers:
            old = str(ds.SOPInstanceUID)
            ds.SeriesInstanceUID, ds.SeriesNumber = uid, number
            ds.SOPInstanceUID = renamed[old] = f"{uid}.{old.rpartition('.')[2]}"
        hips = tuple(
            _hip_of(hip, uid, renamed) if hip.side == side else Hip(hip.side, NOT_IN_VIEW)
            for hip in screening.hips
        )
        part = replace(
            screening, series_instance_uid=uid, headers=headers, hips=hips, warnings=()
        )
        parts.append(NamedResult(f"series {number}, {screening.orientation}", part))
    result = compose(parts)
    assert result is not None
    assert result.is_composed
    return result


def _hip_of(hip: Hip, series_uid: str, renamed: Mapping[str, str]) -> Hip:
    plane = hip.plane
    if plane is not None and plane.source_sop_uid is not None:
        plane = replace(plane, source_sop_uid=renamed[plane.source_sop_uid])
    return replace(hip, plane=plane, series_instance_uid=series_uid)


def _neck_unseen() -> Screening:
    screening = make_screening()
    right, left = screening.hips
    unseen = NeckNotMeasured("The outline of the neck cannot be seen.")
    return replace(screening, hips=(replace(right, neck=unseen), left))


def _bare() -> Screening:
    """Return a screening whose headers have only what the pipeline needs."""
    headers = make_ct_headers(
        **dict.fromkeys(
            (
                "SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate",
                "PatientAge", "PatientSize", "PatientWeight", "StudyDate", "StudyTime",
                "StudyID", "AccessionNumber", "ReferringPhysicianName", "Manufacturer",
                "ManufacturerModelName", "BodyPartExamined", "SeriesNumber", "InstanceNumber",
            )
        ),
        PatientSex="X",
        SliceThickness="",
    )  # fmt: skip
    return make_screening(headers, neck_hu=None)


def _rich() -> Screening:
    """Return a screening with request, procedure, lossy compression, time zone, long values."""
    request, procedure = make_ct_headers(slices=1)[0], make_ct_headers(slices=1)[0]
    request.clear()
    request.RequestedProcedureID = "RP-7"
    request.RequestedProcedureDescription = "CT abdomen, portal venous phase"
    procedure.clear()
    procedure.CodeValue = "CTABD"
    procedure.CodingSchemeDesignator = "99LOCAL"
    procedure.CodeMeaning = "CT abdomen with contrast"
    return make_screening(
        make_ct_headers(
            RequestAttributesSequence=[request],
            ProcedureCodeSequence=[procedure],
            LossyImageCompression="01",
            LossyImageCompressionRatio="8.5",
            LossyImageCompressionMethod="ISO_10918_1",
            TimezoneOffsetFromUTC="+0930",
            BodyPartExamined="HIP",
            StudyDescription="CT Abdomen " + "x" * 50,
        ),
        warnings=("Slices overlap by 1 mm.", "Contrast phase unknown: größer als ≥ 3 mm."),
    )


CASES: dict[str, Callable[[], Screening]] = {
    "both hips": make_screening,
    "both normal, model of a site": lambda: make_screening(
        right=Grade.NORMAL, left=Grade.NORMAL, model=CLINICAL_MODEL
    ),
    "left only, right not found": lambda: make_screening(right=None),
    "right only, left metal": lambda: make_screening(right=Grade.NORMAL, left=METAL),
    "left only, right out of distribution": lambda: make_screening(right=OUT_OF_DISTRIBUTION),
    "two planes": lambda: make_screening(planes=(4, 8)),
    "axial": _axial,
    "axial without frame of reference": lambda: _axial(FrameOfReferenceUID=None),
    "axial, pixels not square": _not_square,
    "axial, planes turned apart": lambda: _turned((128, 512), (3.2, 0.8)),
    "axial, planes turned apart, coarse": lambda: _turned((64, 240), (6.4, 1.7)),
    "frames of an enhanced CT": _enhanced,
    "neck of one hip not seen": _neck_unseen,
    "coronal, pixels not square": lambda: make_screening(
        make_ct_headers(size=(300, 512), pixel_mm=(1.4, 0.9))
    ),
    "256 columns": lambda: make_screening(
        make_ct_headers(size=(256, 256), pixel_mm=(1.8, 1.8))
    ),
    "1024 columns": lambda: make_screening(
        make_ct_headers(size=(700, 1024), pixel_mm=(0.45, 0.45))
    ),
    "odd number of pixels": lambda: make_screening(
        make_ct_headers(size=(301, 535), pixel_mm=(0.9, 0.9))
    ),
    "flipped source": lambda: make_screening(make_ct_headers(flipped=True)),
    "crop inside the field of view": lambda: make_screening(
        make_ct_headers(flipped=True, size=(512, 800))
    ),
    "bare header": _bare,
    "rich header": _rich,
    "two coronal series": lambda: composed(make_screening(), make_screening(planes=(4, 8))),
    "coronal and axial series": lambda: composed(make_screening(), _axial()),
    "two series of one geometry": lambda: composed(make_screening(), make_screening()),
    "both hips and a spine": lambda: replace(make_screening(), lumbar=make_lumbar()),
    "both hips and a spine of uncertain level": lambda: replace(
        make_screening(), lumbar=make_lumbar(vertebrae=6)
    ),
    "Japanese": lambda: make_screening(
        make_ct_headers(
            SpecificCharacterSet=["", "ISO 2022 IR 87"],
            PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう",
        )
    ),
}


def _without_model() -> Screening:
    """Return a result without a grade, of a site without a model: one neck is measured."""
    spine = make_spine_screening(make_lumbar(orientation="coronal"))
    necks = NeckAttenuation(104.2, 31.0, 310.0, 2400.0, ()), NeckNotMeasured("It is cut.")
    hips = (
        Hip(side, no_model(neck), neck=neck) for side, neck in zip("RL", necks, strict=True)
    )  # type: ignore[arg-type]
    return replace(spine, hips=tuple(hips))


SPINE_CASES: dict[str, Callable[[], Screening]] = {
    "axial": make_spine_screening,
    "coronal": lambda: make_spine_screening(make_lumbar(orientation="coronal")),
    "axial, one vertebra refused, 140 kV": lambda: make_spine_screening(
        make_lumbar(dense=("L1",), KVP=140)
    ),
    "no model": _without_model,
    "bare header": lambda: make_spine_screening(
        make_lumbar(
            **dict.fromkeys(
                (
                    "SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate",
                    "PatientAge", "StudyDate", "StudyTime", "AccessionNumber", "SeriesNumber",
                    "InstanceNumber", "BodyPartExamined", "KVP", "ConvolutionKernel",
                )
            )
        ),
    ),
}  # fmt: skip
"""Results without a grade."""


@cache
def built(
    case: str, sop_class: SopClass = "comprehensive3d"
) -> tuple[Screening, Dataset, Dataset]:
    """Return screening, overlay picture and report of a case, the objects as read from files.

    They are shared by all callers: copy before changing.
    """
    screening, pictures = screening_of(case), pictures_of(case)
    report = build_report(screening, pictures, at=AT, sop_class=sop_class)
    return screening, overlay_of(pictures), dcmread(BytesIO(to_bytes(report)))


@cache
def pictures_of(case: str) -> tuple[Dataset, Dataset]:
    """Return result picture and overlay picture of a case, as read from their files."""
    result, overlay = build_captures(screening_of(case), at=AT)
    return dcmread(BytesIO(to_bytes(result))), dcmread(BytesIO(to_bytes(overlay)))


@cache
def screening_of(case: str) -> Screening:
    """Return the screening of a case."""
    return CASES[case]()
