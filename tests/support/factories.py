"""CT headers, hips and screenings for tests, from a phantom of ellipsoids.

The anatomy is simplified; geometry and headers are complete: planes, crops and coordinates come
from the pipeline's own loader and crop.
"""

import hashlib
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import CTImageStorage

from tests.support.hip_phantom import (
    HEADS_MM,
    NECKS_MM,
    SHAFTS_MM,
    coronal_plane,
    make_volume,
    turned_plane,
)
from worker.pipeline.crop import crop_hip
from worker.pipeline.femur_outline import femur_outline
from worker.pipeline.grading import worse_grade
from worker.pipeline.reasons import Reason
from worker.pipeline.results import Grade, Hip, HipCrop, ModelInfo, NeckAttenuation, Screening
from worker.pipeline.volume import Femur, Orientation, Plane, PointMm, Side, Volume, to_point

# Row direction, column direction and step from slice to slice, patient LPS.
AXES: dict[Orientation, tuple[PointMm, PointMm, PointMm]] = {
    "coronal": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "axial": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "sagittal": ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
}

MODEL = ModelInfo(
    name="osteoscreen-compact",
    version="2026.11.1",
    modality="image",
    training_data="simulated CT, 2,400 subjects",
    sha256="3f" * 32,
    simulated=True,
)

Probabilities = tuple[float, float, float]
_known: dict[Hashable, tuple[HipCrop, tuple[PointMm, ...] | None]] = {}
PROBABILITIES: dict[Grade, Probabilities] = {
    Grade.NORMAL: (0.8712, 0.1077, 0.0211),
    Grade.OSTEOPENIA: (0.2104, 0.6391, 0.1505),
    Grade.OSTEOPOROSIS: (0.0187, 0.1529, 0.8284),
}


def make_ct_headers(
    *,
    orientation: Orientation = "coronal",
    slices: int = 12,
    size: tuple[int, int] = (512, 512),
    pixel_mm: tuple[float, float] = (0.9, 0.9),
    slice_mm: float = 3.0,
    flipped: bool = False,
    **attributes: Any,
) -> tuple[Dataset, ...]:
    """Return headers of a CT series centered on the hips, sorted by position.

    ``size``, ``pixel_mm`` : (rows, columns). ``flipped`` : rows run toward the patient's
    right and slices backward. ``attributes`` : DICOM keywords; None removes one, values are
    not validated. Raises ValueError for a keyword that DICOM does not have.
    """
    row, column, step = (np.array(axis, dtype=float) for axis in AXES[orientation])
    if flipped:
        row, step = -row, -step
    rows, columns = size
    center = np.array([0.0, 2.0, -30.0])
    first = (
        center - row * pixel_mm[1] * (columns - 1) / 2 - column * pixel_mm[0] * (rows - 1) / 2
    )
    first = first - step * slice_mm * (slices - 1) / 2
    return tuple(
        _ct_header(
            index,
            attributes,
            Rows=rows,
            Columns=columns,
            PixelSpacing=list(pixel_mm),
            SliceThickness=slice_mm,
            ImageOrientationPatient=[*row, *column],
            ImagePositionPatient=[round(value, 4) for value in first + step * slice_mm * index],
        )
        for index in range(slices)
    )


def _ct_header(index: int, attributes: Mapping[str, Any], **geometry: Any) -> Dataset:
    values: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 100",
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": f"1.2.826.0.1.3680043.8.498.7.{index + 1}",
        "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.5",
        "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.6",
        "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.8",
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "PatientName": "Specimen^Ada",
        "PatientID": "OS-0001",
        "PatientBirthDate": "19520314",
        "PatientSex": "F",
        "PatientAge": "074Y",
        "PatientSize": "1.61",
        "PatientWeight": "58.5",
        "StudyDate": "20261120",
        "StudyTime": "101500",
        "StudyID": "4711",
        "AccessionNumber": "A-2026-117",
        "ReferringPhysicianName": "Referrer^R",
        "Manufacturer": "Example Medical",
        "ManufacturerModelName": "CT 9000",
        "BodyPartExamined": "ABDOMEN",
        "SeriesNumber": 4,
        "InstanceNumber": index + 1,
        "RescaleSlope": "1",
        "RescaleIntercept": "0",
        **geometry,
        **attributes,
    }
    header = Dataset()
    for keyword, value in values.items():
        if tag_for_keyword(keyword) is None:
            raise ValueError(f"DICOM has no keyword {keyword!r}.")
        if value is not None:
            vr = dictionary_VR(keyword)
            header.add(DataElement(keyword, vr, value, validation_mode=config.IGNORE))
    return header


def make_hip(
    volume: Volume,
    side: Side,
    grade: Grade,
    *,
    index: int | None = None,
    turn_deg: float | None = None,
    probabilities: Probabilities | None = None,
    neck_hu: float | None = 161.3,
) -> Hip:
    """Return a graded hip on plane ``index``, default the one through the femoral head.

    ``turn_deg`` : instead, a plane through the head rotated about the long axis of the body.
    """
    if turn_deg is None:
        at = round(float(volume.to_index(HEADS_MM[side])[0])) if index is None else index
        plane = coronal_plane(volume, at)
    else:
        plane = turned_plane(volume, side, turn_deg)
    femur = Femur(side, HEADS_MM[side], 23.0, NECKS_MM[side], 0.93)
    crop, outline_mm = _crop_and_outline(plane, femur)
    return Hip(
        side=side,
        femur=femur,
        plane=plane,
        crop=crop,
        neck=neck_hu if neck_hu is None else make_neck(plane, NECKS_MM[side], neck_hu),
        probabilities=dict(zip(Grade, probabilities or PROBABILITIES[grade], strict=True)),
        grade=grade,
        heat_map=_heat_map(),
        outline_mm=outline_mm,
    )


def _crop_and_outline(plane: Plane, femur: Femur) -> tuple[HipCrop, tuple[PointMm, ...] | None]:
    """Return crop and outline of a hip, computed once for equal pixels in the same place."""
    pixels = hashlib.sha256(plane.hu.tobytes()).digest()
    place = plane.position_mm, plane.row_direction, plane.column_direction
    spacing = plane.row_spacing_mm, plane.column_spacing_mm
    key = femur, pixels, plane.hu.shape, place, spacing
    if key not in _known:
        crop = crop_hip(plane, femur)
        crop.pixels.flags.writeable = crop.femur_mm.flags.writeable = False
        _known[key] = crop, femur_outline(plane, femur)
    return _known[key]


def plane_of_phantom() -> Plane:
    """Return the coronal plane through the heads."""
    volume = make_volume(make_ct_headers())
    return coronal_plane(volume, round(float(volume.to_index(HEADS_MM["R"])[0])))


def phantom_femur(side: Side) -> Femur:
    """Return the femur of the phantom as the finder would."""
    down = np.subtract(SHAFTS_MM[side], NECKS_MM[side])
    return Femur(
        side,
        HEADS_MM[side],
        23.0,
        NECKS_MM[side],
        0.9,
        trochanter_mm=NECKS_MM[side],
        shaft_direction=to_point(down / np.linalg.norm(down)),
    )


def make_neck(plane: Plane, center_mm: PointMm, mean_hu: float) -> NeckAttenuation:
    """Return an octagon of 6.5 mm around a point of the plane as the region of a neck."""
    center = plane.to_mm(plane.to_index(center_mm))
    angles = np.arange(8) * np.pi / 4
    directions = np.array([plane.row_direction, plane.column_direction])
    points = center + 6.5 * np.column_stack([np.sin(angles), np.cos(angles)]) @ directions
    area_mm2 = 8 / 2 * 6.5**2 * float(np.sin(np.pi / 4))
    outline_mm = tuple((x, y, z) for x, y, z in points.tolist())
    return NeckAttenuation(mean_hu, 38.2, area_mm2, 1240.0, outline_mm)


def _heat_map() -> npt.NDArray[np.float32]:
    """Return a (250, 250) heat map with its peak above and left of the middle."""
    rows, columns = np.mgrid[:250, :250]
    return np.asarray(np.exp(-((rows - 110) ** 2 + (columns - 120) ** 2) / 1800), np.float32)


def make_screening(
    headers: tuple[Dataset, ...] | None = None,
    *,
    right: Grade | Reason | None = Grade.OSTEOPENIA,
    left: Grade | Reason | None = Grade.OSTEOPOROSIS,
    planes: tuple[int | None, int | None] = (None, None),
    turns_deg: tuple[float | None, float | None] = (None, None),
    volume: Volume | None = None,
    model: ModelInfo = MODEL,
    warnings: tuple[str, ...] = (),
    neck_hu: float | None = 161.3,
) -> Screening:
    """Return a finished screening.

    ``right``, ``left`` : grade, reason against one, or None where no hip was found.
    ``planes`` : slice of the canonical volume for right and left. ``turns_deg`` : instead,
    upright planes rotated by these angles.
    """
    headers = headers or make_ct_headers()
    volume = volume or make_volume(headers)
    hips: list[Hip] = []
    sides: tuple[tuple[Side, Grade | Reason | None], ...] = (("R", right), ("L", left))
    for (side, result), index, turn_deg in zip(sides, planes, turns_deg, strict=True):
        if isinstance(result, Reason):
            hips.append(Hip(side=side, reason=result))
        elif result is not None:
            hip = make_hip(
                volume, side, result, index=index, turn_deg=turn_deg, neck_hu=neck_hu
            )
            hips.append(hip)
    grades = [hip.grade for hip in hips if hip.grade is not None]
    return Screening(
        series_instance_uid=str(headers[0].SeriesInstanceUID),
        orientation="coronal" if volume.source_sop_uids else "axial",
        headers=headers,
        hips=tuple(hips),
        grade=worse_grade(grades) if grades else None,
        model=model,
        warnings=warnings,
    )


def plane_and_crop(hip: Hip) -> tuple[Plane, HipCrop]:
    """Return plane and crop of a hip that must have both."""
    assert hip.plane is not None
    assert hip.crop is not None
    return hip.plane, hip.crop


def with_hip(screening: Screening, index: int, **changes: object) -> Screening:
    """Return a screening with changed fields of one hip, 0 right and 1 left."""
    hips = list(screening.hips)
    hips[index] = replace(hips[index], **changes)  # type: ignore[arg-type]
    return replace(screening, hips=tuple(hips))
