"""CT series and screenings for tests: real DICOM headers, a phantom of ellipsoids, valid hips.

The anatomy is crude, geometry and headers are not: planes, crops and coordinates come out of
the pipeline's own loader and crop.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import CTImageStorage

from worker.pipeline import reformat
from worker.pipeline.crop import crop_hip
from worker.pipeline.grade import worse_grade
from worker.pipeline.results import (
    Femur,
    Grade,
    Hip,
    ModelInfo,
    NeckAttenuation,
    Orientation,
    Plane,
    PointMm,
    Reason,
    Screening,
    Side,
    Volume,
)

HEADS_MM: dict[Side, PointMm] = {"R": (-92.0, 2.0, 0.0), "L": (92.0, 2.0, 0.0)}
NECKS_MM: dict[Side, PointMm] = {"R": (-116.0, 2.0, -24.0), "L": (116.0, 2.0, -24.0)}
SHAFTS_MM: dict[Side, PointMm] = {"R": (-135.0, 2.0, -130.0), "L": (135.0, 2.0, -130.0)}

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
    """Headers of a CT series centred on the hips, sorted as they lie in space.

    ``size``, ``pixel_mm`` : (rows, columns). ``flipped`` : rows run towards the patient's
    right and slices backwards. ``attributes`` : DICOM keywords; None takes one away, values
    are not validated. Raises ValueError for a keyword that DICOM does not have.
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


def make_volume(headers: tuple[Dataset, ...], *, square: bool = True) -> Volume:
    """The canonical coronal volume of a phantom seen by these headers.

    ``square`` : axial planes are resampled to square pixels, as the loader does.
    """
    row, column = np.reshape([float(v) for v in headers[0].ImageOrientationPatient], (2, 3))
    positions = [[float(v) for v in header.ImagePositionPatient] for header in headers]
    row_mm, column_mm = (float(v) for v in headers[0].PixelSpacing)
    step = np.subtract(positions[-1], positions[0]) / max(1, len(headers) - 1)
    affine = np.eye(4)
    affine[:3] = np.column_stack([step, column * row_mm, row * column_mm, positions[0]])
    shape = (len(headers), int(headers[0].Rows), int(headers[0].Columns))
    uids = tuple(str(header.SOPInstanceUID) for header in headers)
    hu = _phantom_hu(shape, tuple(map(tuple, affine.tolist())))
    volume = reformat.canonical(Volume(hu, affine, uids))
    if volume.source_sop_uids or not square:
        return volume
    return reformat.resample_rows(volume, volume.spacing_mm[2])


@lru_cache(maxsize=8)
def _phantom_hu(
    shape: tuple[int, int, int], rows: tuple[tuple[float, ...], ...]
) -> npt.NDArray[np.int16]:
    """HU of an ellipsoid body with two femurs, on a grid along the patient's axes.

    ``rows`` : of the affine. Shared between calls, so not to be written to.
    """
    affine = np.array(rows)
    hu = np.random.default_rng(7).integers(-20, 21, shape, dtype=np.int16)
    axes = np.abs(affine[:3, :3]).argmax(axis=0)  # the patient axis of each grid axis
    at = [
        affine[a, i] * np.arange(n) + affine[a, 3]
        for i, (a, n) in enumerate(zip(axes, shape, strict=True))
    ]
    radii = np.array([205.0, 130.0, 400.0])[axes]
    inside = sum(np.ix_(*((x / radius) ** 2 for x, radius in zip(at, radii, strict=True))))
    hu += np.where(inside < 1, 40, -1000).astype(np.int16)
    for side in HEADS_MM:
        head, neck, shaft = (
            np.array(place[side])[axes] for place in (HEADS_MM, NECKS_MM, SHAFTS_MM)
        )
        rods = ((head, head, 23.0), (head, neck, 16.0), (neck, shaft, 15.0))
        for inset_mm, value in ((0.0, 900), (4.0, 160)):  # cortex, then what it encloses
            for start, end, radius in rods:
                _draw_rod(hu, at, (start, end), radius - inset_mm, value)
    hu.flags.writeable = False
    return hu


def _draw_rod(
    hu: npt.NDArray[np.int16],
    at: list[npt.NDArray[np.float64]],
    ends: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    radius: float,
    value: int,
) -> None:
    """A rod with round ends, in place."""
    start, end = ends
    box = [
        np.flatnonzero((x > min(a, b) - radius) & (x < max(a, b) + radius))
        for x, a, b in zip(at, start, end, strict=True)
    ]
    points = np.stack(
        np.meshgrid(*(x[i] for x, i in zip(at, box, strict=True)), indexing="ij"), axis=-1
    )
    axis = end - start
    along = np.clip((points - start) @ axis / max(float(axis @ axis), 1e-9), 0, 1)
    distance = np.linalg.norm(points - start - along[..., None] * axis, axis=-1)
    part = hu[np.ix_(*box)]
    hu[np.ix_(*box)] = np.where(distance < radius, value, part)


def make_hip(
    volume: Volume,
    side: Side,
    grade: Grade,
    *,
    index: int | None = None,
    probabilities: Probabilities | None = None,
    neck_hu: float | None = 161.3,
) -> Hip:
    """A graded hip on plane ``index`` (default: through the femoral head)."""
    at = round(float(volume.to_index(HEADS_MM[side])[0])) if index is None else index
    uids = volume.source_sop_uids
    x, y, z = volume.to_mm((at, 0, 0)).tolist()
    _, row_mm, column_mm = volume.spacing_mm
    plane = Plane(at, volume.hu[at], (x, y, z), row_mm, column_mm, uids[at] if uids else None)
    femur = Femur(side, HEADS_MM[side], 23.0, NECKS_MM[side], 0.93)
    return Hip(
        side=side,
        femur=femur,
        plane=plane,
        crop=crop_hip(plane, femur),
        neck=neck_hu if neck_hu is None else make_neck(plane, NECKS_MM[side], neck_hu),
        probabilities=dict(zip(Grade, probabilities or PROBABILITIES[grade], strict=True)),
        grade=grade,
        heat_map=_heat_map(),
    )


def make_neck(plane: Plane, center_mm: PointMm, mean_hu: float) -> NeckAttenuation:
    """An octagon of 6.5 mm around a point of the plane; only its place is that of a neck."""
    center = plane.to_mm(plane.to_index(center_mm))
    angles = np.arange(8) * np.pi / 4
    directions = np.array([plane.row_direction, plane.column_direction])
    points = center + 6.5 * np.column_stack([np.sin(angles), np.cos(angles)]) @ directions
    area_mm2 = 8 / 2 * 6.5**2 * float(np.sin(np.pi / 4))
    outline_mm = tuple((x, y, z) for x, y, z in points.tolist())
    return NeckAttenuation(mean_hu, 38.2, area_mm2, 190, outline_mm)


def _heat_map() -> npt.NDArray[np.float32]:
    """(250, 250) with its peak above and left of the middle."""
    rows, columns = np.mgrid[:250, :250]
    return np.asarray(np.exp(-((rows - 110) ** 2 + (columns - 120) ** 2) / 1800), np.float32)


def make_screening(
    headers: tuple[Dataset, ...] | None = None,
    *,
    right: Grade | Reason | None = Grade.OSTEOPENIA,
    left: Grade | Reason | None = Grade.OSTEOPOROSIS,
    planes: tuple[int | None, int | None] = (None, None),
    volume: Volume | None = None,
    model: ModelInfo = MODEL,
    warnings: tuple[str, ...] = (),
    neck_hu: float | None = 161.3,
) -> Screening:
    """A finished screening; each side a grade, the reason against one, or None: not found.

    ``planes`` : slice of the canonical volume for right and left.
    """
    headers = headers or make_ct_headers()
    volume = volume or make_volume(headers)
    hips: list[Hip] = []
    sides: tuple[tuple[Side, Grade | Reason | None], ...] = (("R", right), ("L", left))
    for (side, result), index in zip(sides, planes, strict=True):
        if isinstance(result, Reason):
            hips.append(Hip(side=side, reason=result))
        elif result is not None:
            hips.append(make_hip(volume, side, result, index=index, neck_hu=neck_hu))
    return Screening(
        series_instance_uid=str(headers[0].SeriesInstanceUID),
        orientation="coronal" if volume.source_sop_uids else "axial",
        headers=headers,
        hips=tuple(hips),
        grade=worse_grade(hip.grade for hip in hips if hip.grade is not None),
        model=model,
        warnings=warnings,
    )
