"""Crops of the hips of a series by the steps of ``worker.pipeline``, without a model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from training.cohort.dataset import Mask
from worker.pipeline import crop, load, select
from worker.pipeline.contrast_warning import enhanced
from worker.pipeline.femur_outline import femur_outline
from worker.pipeline.femurs import planes
from worker.pipeline.femurs.grid import build_grid
from worker.pipeline.heat_map import in_outline
from worker.pipeline.lumbar_results import LumbarMeasurements
from worker.pipeline.neck import neck_attenuation
from worker.pipeline.reasons import Reason
from worker.pipeline.results import HipCrop, NeckAttenuation, Rejected
from worker.pipeline.spine.lumbar import measure_lumbar
from worker.pipeline.validation import eligibility
from worker.pipeline.validation.rules import first_failure
from worker.pipeline.volume import Femur, Plane, Series, Side, Volume

SIDES: tuple[Side, Side] = ("R", "L")


@dataclass(frozen=True, slots=True)
class OutlinedCrop:
    """A crop and the mask (250, 250) of the finder's femur in it, empty where it has none.

    ``neck_hu`` : attenuation of the neck, None where it is not measured.
    """

    crop: HipCrop
    outline: Mask
    neck_hu: float | None = None


@dataclass(frozen=True, slots=True)
class CroppedSeries:
    """A series with its lumbar spine, and the crop of each hip or the reason for none."""

    series: Series
    enhanced: bool | None
    hips: Mapping[Side, OutlinedCrop | Reason]
    lumbar: LumbarMeasurements


def crop_series(series: Series) -> CroppedSeries | Reason:
    """Load, check and crop a series as ``worker.pipeline.screen`` does, without a model."""
    if (reason := first_failure(eligibility.check_series(series))) is not None:
        return reason
    volume = load.read_volume(series)
    if isinstance(volume, Rejected):
        return volume.reason
    if (reason := first_failure(eligibility.check_volume(volume))) is not None:
        return reason
    grid = build_grid(volume)
    found = select.find_femurs(volume, grid)
    if (reason := first_failure(eligibility.check_femurs(volume, found))) is not None:
        return reason
    femurs = {femur.side: femur for femur in found}
    hips: dict[Side, OutlinedCrop | Reason] = {}
    for side in SIDES:
        femur = femurs.get(side)
        if femur is None:
            checks = eligibility.missing_hip(volume, side, found)
        else:
            checks = eligibility.check_hip(volume, femur)
        reason = first_failure(checks)
        if femur is not None and reason is None:
            hips[side] = _measured_crop(volume, femur)
        elif reason is not None:
            hips[side] = reason
    lumbar = measure_lumbar(series, grid, found)
    return CroppedSeries(series, enhanced(volume, found), hips, lumbar)


def _measured_crop(volume: Volume, femur: Femur) -> OutlinedCrop:
    neck = neck_attenuation(volume, select.choose_plane(volume, femur), femur)
    measured = round(neck.mean_hu, 1) if isinstance(neck, NeckAttenuation) else None
    return replace(outlined_crop(planes.cut_through(volume, femur), femur), neck_hu=measured)


def outlined_crop(plane: Plane, femur: Femur) -> OutlinedCrop:
    """Return the crop around a femur, with the mask of its outline by the worker."""
    hip_crop = crop.crop_hip(plane, femur)
    outline_mm = femur_outline(plane, femur)
    if outline_mm is None:
        return OutlinedCrop(hip_crop, np.zeros(hip_crop.pixels.shape, bool))
    return OutlinedCrop(hip_crop, in_outline(plane, hip_crop, outline_mm))
