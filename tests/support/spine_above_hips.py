"""A coronal series of a lumbar spine and both hips: a phantom above a simulated pelvis."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.support.ct_volume import load_series, write_ct
from tests.support.series import simulate_small
from tests.support.spine_phantom import AIR, SpinePhantom, build_volume

L1_HU = 104.0


def write_spine_above_hips(folder: Path) -> tuple[Path, ...]:
    """Write the files of the series, of 120 kV and 4 mm, below ``folder``."""
    _, pelvis = load_series(simulate_small(folder / "pelvis", "coronal"))
    behind_mm, down_mm, left_mm = pelvis.spacing_mm
    phantom = build_volume(SpinePhantom(pelvis.spacing_mm, trabecular_hu={"L1": L1_HU}))
    count, _, columns = pelvis.hu.shape
    spine = _fitted(_fitted(phantom.hu, 0, count), 2, columns)
    up_mm = np.array([0.0, 0.0, spine.shape[1] * down_mm])
    return tuple(
        write_ct(
            folder / "ct",
            np.concatenate([spine, pelvis.hu], axis=1),
            origin=tuple((pelvis.affine[:3, 3] + up_mm).tolist()),
            step=(0.0, behind_mm, 0.0),
            spacing=(down_mm, left_mm),
            KVP=120,
            SliceThickness=4,
            ConvolutionKernel="STANDARD",
        )
    )


def _fitted(hu: npt.NDArray[np.int16], axis: int, size: int) -> npt.NDArray[np.int16]:
    """Return a volume cut or padded with air to ``size`` along an axis, its middle kept."""
    cut = max(0, hu.shape[axis] - size)
    kept = np.take(hu, range(cut // 2, hu.shape[axis] - cut + cut // 2), axis)
    missing = size - kept.shape[axis]
    widths = [(0, 0)] * 3
    widths[axis] = missing // 2, missing - missing // 2
    return np.pad(kept, widths, constant_values=AIR)
