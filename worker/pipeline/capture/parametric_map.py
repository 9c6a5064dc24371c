"""The Grad-CAM as a Parametric Map for viewers that support fusion (PS3.3 A.75).

The Secondary Capture is a picture, which IHE AIR allows beside machine-readable results only.
This object holds the same values on the pixel grid of the planes, in the frame of reference of
the CT, so that a viewer can overlay them on the CT in its own colors.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
from highdicom import (
    PixelMeasuresSequence,
    PlaneOrientationSequence,
    PlanePositionSequence,
    VOILUTTransformation,
)
from highdicom.pm import ParametricMap, RealWorldValueMapping
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ParametricMapStorage

from worker.pipeline import header_values, statements
from worker.pipeline.capture.heat import heat_in_box
from worker.pipeline.capture.secondary_capture import source_images, unpaired_part
from worker.pipeline.derived_header import (
    MANUFACTURER,
    code_item,
    copy_lossy_compression,
    derived_dataset,
    finalize,
    reference,
)
from worker.pipeline.plane_layout import differ_in_direction
from worker.pipeline.results import Hip, Screening
from worker.pipeline.uids import derive_uid
from worker.pipeline.volume import Plane

SERIES_NUMBER = 9003
LARGEST = 65535  # the stored value of heat 1
# highdicom requires UIDs and writes the clock: ``finalize`` replaces both.
PROVISIONAL_UID = "1.2.3"
NOT_OURS = (
    "SOPInstanceUID", "SeriesInstanceUID", "InstanceCreationDate", "InstanceCreationTime",
    "ContentDate", "ContentTime", "SourceImageSequence",
)  # fmt: skip


def build_parametric_map(screening: Screening, *, at: datetime) -> Dataset | None:
    """Build the map with one 16-bit frame a plane; equal arguments give equal bytes.

    ``at`` : aware, the only clock value. Return None where no hip is graded, where the source
    has no frame of reference, where two planes differ in size and have no common grid, or where
    they are of two series, of which the map could overlay one only.
    """
    if screening.is_composed:
        return None
    hips = [hip for hip in screening.hips if hip.grade and hip.plane and hip.crop]
    planes = _planes(hips)
    source = screening.source
    frame_of_reference_uid = header_values.uid_of(source, "FrameOfReferenceUID")
    grids = {
        (plane.hu.shape, plane.row_spacing_mm, plane.column_spacing_mm) for plane in planes
    }
    if len(grids) != 1 or not frame_of_reference_uid:
        return None
    frames = np.stack([_frame(plane, hips) for plane in planes])
    ds = derived_dataset(source, screening.model, ParametricMapStorage)
    numbers = _as_highdicom(frames, planes, frame_of_reference_uid)
    for element in numbers:
        if element.tag not in ds and element.keyword not in NOT_OURS:
            ds.add(element)
    # highdicom (0.28) leaves the SQLite database of its frame index open.
    numbers._db_con.close()
    _name_dimensions(ds)
    _refer_to_sources(ds, screening)
    if differ_in_direction(planes):
        _orient_each(ds, planes)
    ds.DeviceSerialNumber = screening.model.sha256  # type 1 here (PS3.3 C.7.5.2)
    ds.SeriesNumber = SERIES_NUMBER
    notice = statements.short_notice(screening.model)
    ds.SeriesDescription = f"AI hip heat map, numbers - {notice}"
    ds.BodyPartExamined = unpaired_part(source)
    copy_lossy_compression(source, ds)
    return finalize(ds, "pm", at)


def _planes(hips: Sequence[Hip]) -> list[Plane]:
    """Return each plane once, in the order of the hips."""
    planes: list[Plane] = []
    for hip in hips:
        if hip.plane is not None and not any(_same(hip.plane, plane) for plane in planes):
            planes.append(hip.plane)
    return planes


def _same(one: Plane, other: Plane) -> bool:
    return (
        one.position_mm == other.position_mm and one.column_direction == other.column_direction
    )


def _frame(plane: Plane, hips: Sequence[Hip]) -> npt.NDArray[np.uint16]:
    """Return the heat of the hips on a plane, each on its own side of their middle."""
    heat = np.zeros(plane.hu.shape)
    own = [hip for hip in hips if hip.plane is not None and _same(hip.plane, plane)]
    corners_mm = [corner for hip in own if hip.crop for corner in hip.crop.corners_mm]
    middle = round(float(plane.to_index(np.mean(corners_mm, axis=0))[1]) + 0.5)
    rows, columns = plane.hu.shape
    for hip in own:
        part = slice(0, columns)
        if len(own) == 2:
            part = slice(0, middle) if hip.side == "R" else slice(middle, columns)
        if hip.crop is None:
            continue
        found = heat_in_box(
            hip,
            (hip.crop.row, hip.crop.col),
            (plane.row_spacing_mm, plane.column_spacing_mm),
            (slice(0, rows), part),
        )
        if found is not None:
            box, values = found
            heat[box] = values
    return np.rint(heat * LARGEST).astype(np.uint16)


def _as_highdicom(
    frames: npt.NDArray[np.uint16], planes: Sequence[Plane], frame_of_reference_uid: str
) -> Dataset:
    plane = planes[0]
    mapping = RealWorldValueMapping(
        lut_label="GRADCAM",
        lut_explanation="Gradient-weighted class activation of the hip's grade",
        unit=codes.UCUM.NoUnits,
        value_range=(0, LARGEST),
        slope=1 / LARGEST,
        intercept=0.0,
        quantity_definition=codes.DCM.GradientWeightedClassActivation,
    )
    return ParametricMap(
        [_grid_of(plane, frame_of_reference_uid)],
        frames,
        PROVISIONAL_UID,
        SERIES_NUMBER,
        PROVISIONAL_UID,
        1,
        MANUFACTURER,
        "",
        "",
        device_serial_number="",
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[
            VOILUTTransformation(window_center=LARGEST / 2, window_width=LARGEST)
        ],
        pixel_measures=PixelMeasuresSequence(
            [plane.row_spacing_mm, plane.column_spacing_mm], slice_thickness=None
        ),
        plane_orientation=_orientation(plane),
        plane_positions=[PlanePositionSequence("PATIENT", _position(each)) for each in planes],
        content_label="GRADCAM",
    )


def _position(plane: Plane) -> list[float]:
    return [round(value, 4) for value in plane.position_mm]


def _orientation(plane: Plane) -> PlaneOrientationSequence:
    return PlaneOrientationSequence("PATIENT", [*plane.column_direction, *plane.row_direction])


def _name_dimensions(ds: Dataset) -> None:
    """Set the UID of this order of frames; highdicom would generate a new one every time."""
    uid = derive_uid("dimension organization")
    for item in (*ds.DimensionOrganizationSequence, *ds.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def _refer_to_sources(ds: Dataset, screening: Screening) -> None:
    """Replace the references to the grid that highdicom was given by the source slices."""
    references = list(source_images(screening))
    for item in references:
        del item.SpatialLocationsPreserved
    series = Dataset()
    series.SeriesInstanceUID = str(screening.headers[0].SeriesInstanceUID)
    series.ReferencedInstanceSequence = [
        reference(item)
        for item in {str(h.SOPInstanceUID): h for h in screening.headers}.values()
    ]
    ds.ReferencedSeriesSequence = [series]
    derivation = Dataset()
    derivation.SourceImageSequence = references
    derivation.DerivationCodeSequence = [code_item(codes.DCM.UnspecifiedMethodOfCalculation)]
    shared = ds.SharedFunctionalGroupsSequence[0]
    shared.DerivationImageSequence = [derivation]
    for groups in ds.PerFrameFunctionalGroupsSequence:
        if "DerivationImageSequence" in groups:
            del groups.DerivationImageSequence
    # One plane, or two at any distance: there is no spacing between slices.
    measures = shared.PixelMeasuresSequence[0]
    if "SpacingBetweenSlices" in measures:
        del measures.SpacingBetweenSlices


def _orient_each(ds: Dataset, planes: Sequence[Plane]) -> None:
    """Move the orientation of planes of different directions to the frames."""
    del ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    # highdicom may sort the frames: each is identified by its position.
    by_position = {tuple(_position(plane)): plane for plane in planes}
    for groups in ds.PerFrameFunctionalGroupsSequence:
        position = groups.PlanePositionSequence[0].ImagePositionPatient
        plane = by_position[tuple(float(value) for value in position)]
        groups.PlaneOrientationSequence = _orientation(plane)


def _grid_of(plane: Plane, frame_of_reference_uid: str) -> Dataset:
    """Return the source image for highdicom: only its grid is used, not patient and study."""
    ds = Dataset()
    for keyword in (
        "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber",
        "StudyID", "StudyDate", "StudyTime",
    ):  # fmt: skip
        setattr(ds, keyword, None)
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, PROVISIONAL_UID
    ds.StudyInstanceUID = ds.SeriesInstanceUID = PROVISIONAL_UID
    ds.FrameOfReferenceUID = frame_of_reference_uid
    ds.Rows, ds.Columns = plane.hu.shape
    ds.SliceThickness = None
    ds.PixelSpacing = [plane.row_spacing_mm, plane.column_spacing_mm]
    ds.ImageOrientationPatient = [*plane.column_direction, *plane.row_direction]
    ds.ImagePositionPatient = list(plane.position_mm)
    return ds
