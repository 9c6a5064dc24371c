"""Sums of blocks of pixels, which the rules for values and noise compare."""

import numpy as np
import numpy.typing as npt


def block_sums(hu: npt.NDArray[np.int16], high: int, wide: int) -> npt.NDArray[np.int32]:
    """Return the sums of whole blocks of ``high`` rows and ``wide`` columns of each slice.

    ``hu`` : (slices, rows, columns). One slice after the other, which stays in the cache, and
    rows first, which run along the memory: eight times as fast as sums over short axes.
    """
    slices, rows, columns = hu.shape[0], hu.shape[1] // high, hu.shape[2] // wide
    sums = np.empty((slices, rows, columns), np.int32)
    for image, out in zip(hu[:, : rows * high, : columns * wide], sums, strict=True):
        down = image[::high].astype(np.int32)
        for row in range(1, high):
            down += image[row::high]
        out[:] = down[:, ::wide]
        for column in range(1, wide):
            out += down[:, column::wide]
    return sums
