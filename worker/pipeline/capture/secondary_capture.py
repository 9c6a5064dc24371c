"""The series of Secondary Captures: result picture and overlay picture (PS3.3 A.8.1)."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import SecondaryCaptureImageStorage

from worker.pipeline import header_values, statements
from worker.pipeline.capture.overlay import draw_overlay
from worker.pipeline.capture.result_picture import draw_result
from worker.pipeline.capture.spine_picture import draw_spine
from worker.pipeline.derived_header import (
    code_item,
    copy_lossy_compression,
    derived_dataset,
    finalize,
    join_series,
    reference,
)
from worker.pipeline.plane_layout import lay_out_planes
from worker.pipeline.previous import PreviousResult
from worker.pipeline.results import Hip, Screening

SERIES_NUMBER = 9002
RESULT, OVERLAY = "RESULT", "OVERLAY"
"""Value 3 of Image Type."""
# Unpaired parts: with HIP, or none, Laterality would be required (PS3.3 C.7.3.1).
UNPAIRED_PARTS = ("ABDOMEN", "PELVIS")


def build_captures(
    screening: Screening, *, at: datetime, previous: Sequence[PreviousResult] = ()
) -> tuple[Dataset, ...]:
    """Build result picture and overlay picture, one series; equal arguments give equal bytes.

    Without a graded hip there is no overlay picture. ``at`` : aware, the only clock value.
    ``previous`` : results of earlier studies of this patient. Raises ValueError where neither a
    hip is graded nor a vertebra measured.
    """
    if screening.grade is None:
        return (_with_times(finalize(_spine(screening, previous), "sc", at)),)
    result = finalize(_result(screening, previous), "sc", at)
    overlay = finalize(_overlay(screening), "overlay", at)
    join_series({"sc": result, "overlay": overlay})
    return _with_times(result), _with_times(overlay)


def _with_times(ds: Dataset) -> Dataset:
    ds.DateOfSecondaryCapture, ds.TimeOfSecondaryCapture = ds.ContentDate, ds.ContentTime
    return ds


def overlay_of(pictures: Iterable[Dataset]) -> Dataset:
    """Return the overlay picture among the pictures of a result."""
    return next(ds for ds in pictures if ds.ImageType[-1] == OVERLAY)


def _result(screening: Screening, previous: Sequence[PreviousResult]) -> Dataset:
    ds = _picture(screening, RESULT, draw_result(screening, previous))
    ds.InstanceNumber = 1
    # No PixelSpacing and no PatientOrientation: hips, whole slice and text share the picture.
    ds.PatientOrientation = []
    model = screening.model
    ds.DerivationDescription = (
        f"Result of {model.name} {model.version} (weights SHA-256 {model.sha256}): both hips "
        f"enlarged, plain and with the Grad-CAM, whole slice, text. {statements.notice(model)}"
    )
    return ds


def _spine(screening: Screening, previous: Sequence[PreviousResult]) -> Dataset:
    ds = _picture(screening, RESULT, draw_spine(screening, previous))
    ds.InstanceNumber = 1
    ds.PatientOrientation = []
    ds.DerivationDescription = (
        f"Result of {screening.model.name} {screening.model.version}: axial picture of a "
        f"vertebra with the measured region, straightened sagittal picture, text. "
        f"{statements.notice(screening.model)}"
    )
    return ds


def _overlay(screening: Screening) -> Dataset:
    layout = lay_out_planes(statements.both_hips(screening))
    ds = _picture(screening, OVERLAY, draw_overlay(layout))
    ds.InstanceNumber = 2
    # The planes are canonical: rows run to the patient's left, columns to the feet.
    ds.PatientOrientation = ["L", "F"]
    ds.PixelSpacing = [round(spacing_mm, 6) for spacing_mm in layout.spacing_mm]
    model, halves = screening.model, statements.separate_halves_remark(screening)
    ds.DerivationDescription = (
        f"Grad-CAM of {model.name} {model.version} (weights SHA-256 {model.sha256}) added to "
        "the windowed CT inside the input of the model; outlines of femur and neck. "
        f"{halves and halves + ' '}{statements.notice(model)}"
    )
    return ds


def _picture(screening: Screening, kind: str, pixels: npt.NDArray[np.uint8]) -> Dataset:
    """Return what both pictures of a result have in common."""
    source = screening.source
    ds = derived_dataset(source, screening.model, SecondaryCaptureImageStorage)
    ds.Modality = "OT"
    ds.ConversionType = "WSD"
    ds.SeriesNumber = SERIES_NUMBER
    ds.SeriesDescription = series_description(screening)
    ds.BodyPartExamined = unpaired_part(source)
    ds.ImageType = ["DERIVED", "SECONDARY", kind]
    ds.BurnedInAnnotation = "NO"  # the text names neither patient nor date
    ds.RecognizableVisualFeatures = "NO"
    copy_lossy_compression(source, ds)
    ds.DerivationCodeSequence = [code_item(codes.DCM.PixelByPixelAddition)]
    ds.SourceImageSequence = list(source_images(screening))
    _add_pixels(ds, pixels)
    return ds


def series_description(screening: Screening) -> str:
    """Return a description short enough for the lists of viewers; DEMO comes first."""
    if screening.grade is None:
        return "Lumbar spine - RESEARCH"
    return "DEMO AI hip" if screening.model.simulated else "AI hip - RESEARCH"


def unpaired_part(source: Dataset) -> str:
    """Return the source's body part where it is unpaired, otherwise PELVIS."""
    part = header_values.text_of(source, "BodyPartExamined")
    return part if part in UNPAIRED_PARTS else "PELVIS"


def capture_png(capture: Dataset) -> bytes:
    """Encode the pixels of a capture as a PNG file."""
    shape = capture.Rows, capture.Columns, capture.SamplesPerPixel
    pixels = np.frombuffer(capture.PixelData, np.uint8)[: np.prod(shape)].reshape(shape)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _add_pixels(ds: Dataset, pixels: npt.NDArray[np.uint8]) -> None:
    ds.SamplesPerPixel = 3
    ds.PhotometricInterpretation = "RGB"
    ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    data = pixels.tobytes()
    ds.add_new("PixelData", "OB", data + b"\0" * (len(data) % 2))


def source_images(screening: Screening) -> Iterable[Dataset]:
    """Yield references to the slices of the planes, or to all where a plane was reformatted.

    Frames of one object are one item, which lists them unless all are meant (PS3.3 Table 10-3).
    """
    hips = [hip for hip in screening.hips if hip.plane and hip.grade]
    if screening.grade is None and screening.lumbar is not None:
        yield from _references(screening.lumbar.headers, all_of_series=True)
    elif screening.is_composed:
        for hip in hips:
            yield from _source_images(screening.headers_of(hip), [hip])
    else:
        yield from _source_images(screening.headers, hips)


def _source_images(source: Sequence[Dataset], hips: Sequence[Hip]) -> Iterable[Dataset]:
    """Yield references to the slices of one series."""
    shown = {(hip.plane.source_sop_uid, hip.plane.source_frame) for hip in hips if hip.plane}
    reformatted = any(uid is None for uid, _ in shown)
    used = [
        header
        for header in source
        if reformatted or (str(header.SOPInstanceUID), header_values.frame_of(header)) in shown
    ]
    yield from _references(used, all_of_series=reformatted)


def _references(used: Iterable[Dataset], *, all_of_series: bool) -> Iterable[Dataset]:
    """Yield references to slices of one series; ``all_of_series`` : frames are not listed."""
    slices: dict[str, list[Dataset]] = {}
    for header in used:
        slices.setdefault(str(header.SOPInstanceUID), []).append(header)
    for headers in slices.values():
        item = reference(headers[0])
        frames = [
            frame for each in headers if (frame := header_values.frame_of(each)) is not None
        ]
        if frames and not all_of_series:
            item.ReferencedFrameNumber = frames
        purpose = codes.DCM.SourceImageForImageProcessingOperation
        item.PurposeOfReferenceCodeSequence = [code_item(purpose)]
        # Text is added, and the grid may be flipped, joined or enlarged.
        item.SpatialLocationsPreserved = "NO"
        yield item
