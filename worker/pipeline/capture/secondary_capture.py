"""The Secondary Capture: heat maps on the anatomy with a banner below (PS3.3 A.8.1)."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from io import BytesIO

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import SecondaryCaptureImageStorage

from worker.pipeline import header_values, statements
from worker.pipeline.capture.banner import draw_banner
from worker.pipeline.capture.draw import Picture, draw_anatomy
from worker.pipeline.derived_header import (
    code_item,
    copy_lossy_compression,
    derived_dataset,
    finalize,
    reference,
)
from worker.pipeline.previous import PreviousResult
from worker.pipeline.results import Hip, Screening

SERIES_NUMBER = 9002
# Unpaired parts: with HIP, or none, Laterality would be required (PS3.3 C.7.3.1).
UNPAIRED_PARTS = ("ABDOMEN", "PELVIS")


def build_capture(
    screening: Screening, *, at: datetime, previous: Sequence[PreviousResult] = ()
) -> Dataset:
    """Build the RGB picture of a screening; equal arguments give equal bytes.

    ``at`` : aware, the only clock value. ``previous`` : results of earlier studies of this
    patient. Raises ValueError where no hip is graded.
    """
    hips = statements.both_hips(screening)
    picture = draw_anatomy(hips)
    banner = draw_banner(screening, picture.pixels.shape[1], previous)
    source = screening.source
    ds = derived_dataset(source, screening.model, SecondaryCaptureImageStorage)
    ds.Modality = "OT"
    ds.ConversionType = "WSD"
    ds.SeriesNumber = SERIES_NUMBER
    ds.SeriesDescription = f"AI hip heat map - {statements.short_notice(screening.model)}"
    ds.BodyPartExamined = unpaired_part(source)
    ds.ImageType = ["DERIVED", "SECONDARY", "HEATMAP"]
    # The planes are canonical: rows run to the patient's left, columns to the feet.
    ds.PatientOrientation = ["L", "F"]
    ds.BurnedInAnnotation = "NO"  # the banner names neither patient nor date
    ds.RecognizableVisualFeatures = "NO"
    copy_lossy_compression(source, ds)
    ds.DerivationDescription = _derivation(screening, banner.shape[0])
    ds.DerivationCodeSequence = [code_item(codes.DCM.PixelByPixelAddition)]
    ds.SourceImageSequence = list(source_images(screening))
    _add_pixels(ds, picture, np.vstack([picture.pixels, banner]))
    finalize(ds, "sc", at)
    ds.DateOfSecondaryCapture, ds.TimeOfSecondaryCapture = ds.ContentDate, ds.ContentTime
    return ds


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


def _add_pixels(ds: Dataset, picture: Picture, pixels: np.ndarray) -> None:
    ds.SamplesPerPixel = 3
    ds.PhotometricInterpretation = "RGB"
    ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = pixels.shape[:2]
    # Distances can be measured: the spacing is that of the magnified or resampled anatomy.
    ds.PixelSpacing = [round(picture.row_spacing_mm, 6), round(picture.column_spacing_mm, 6)]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    data = pixels.tobytes()
    ds.add_new("PixelData", "OB", data + b"\0" * (len(data) % 2))


def _derivation(screening: Screening, banner_rows: int) -> str:
    model = screening.model
    halves = statements.separate_halves_remark(screening)
    return (
        f"Grad-CAM of {model.name} {model.version} (weights SHA-256 {model.sha256}) blended "
        f"0.3 into the windowed CT inside the crop boxes; {banner_rows} rows of text below "
        f"the anatomy. {halves and halves + ' '}{statements.notice(model)}"
    )


def source_images(screening: Screening) -> Iterable[Dataset]:
    """Yield references to the slices of the planes, or to all where a plane was reformatted.

    Frames of one object are one item, which lists them unless all are meant (PS3.3 Table 10-3).
    """
    hips = [hip for hip in screening.hips if hip.plane and hip.grade]
    if screening.is_composed:
        for hip in hips:
            yield from _source_images(screening.headers_of(hip), [hip])
    else:
        yield from _source_images(screening.headers, hips)


def _source_images(source: Sequence[Dataset], hips: Sequence[Hip]) -> Iterable[Dataset]:
    """Yield references to the slices of one series."""
    shown = {(hip.plane.source_sop_uid, hip.plane.source_frame) for hip in hips if hip.plane}
    reformatted = any(uid is None for uid, _ in shown)
    slices: dict[str, list[Dataset]] = {}
    for header in source:
        uid = str(header.SOPInstanceUID)
        if reformatted or (uid, header_values.frame_of(header)) in shown:
            slices.setdefault(uid, []).append(header)
    for headers in slices.values():
        item = reference(headers[0])
        frames = [
            frame for each in headers if (frame := header_values.frame_of(each)) is not None
        ]
        if frames and not reformatted:
            item.ReferencedFrameNumber = frames
        purpose = codes.DCM.SourceImageForImageProcessingOperation
        item.PurposeOfReferenceCodeSequence = [code_item(purpose)]
        # Text is added below, and the grid may be flipped, magnified or resampled.
        item.SpatialLocationsPreserved = "NO"
        yield item
