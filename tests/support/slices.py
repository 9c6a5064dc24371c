"""Stacks of slices of a body whose organs change from slice to slice."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Hu = npt.NDArray[np.int16]


def body_slices(
    count: int = 24, size: int = 128, *, noise_hu: float = 10.0, seed: int = 0
) -> Hu:
    """Return (count, size, size) HU: an oval body with organs 5–6 slices and 15 pixels long."""
    rng = np.random.default_rng(seed)
    organs = ndimage.gaussian_filter(rng.normal(size=(count, size, size)), (2.5, 6, 6))
    organs *= 120 / organs.std()
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    inside = (x / 0.9) ** 2 + ((y - 0.1) / 0.6) ** 2 < 1
    hu = np.where(inside, 30 + organs, -1000) + rng.normal(0, noise_hu, organs.shape)
    return np.asarray(np.clip(np.rint(hu), -1024, 3071), np.int16)
