"""Polygons on the pixel grid of an image."""

import numpy as np
import numpy.typing as npt


def pixels_inside(
    outline_px: npt.NDArray[np.float64], shape: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Return the mask, of ``shape``, of the pixels whose centers lie inside a closed outline.

    ``outline_px`` : (n, 2) (row, column), centers of pixels at whole numbers. Even-odd rule.
    """
    rows, columns = (np.arange(count, dtype=float) for count in shape)
    mask = np.zeros(shape, bool)
    for (row_1, column_1), (row_2, column_2) in zip(
        outline_px, np.roll(outline_px, -1, axis=0), strict=True
    ):
        crossed = np.flatnonzero((row_1 > rows) != (row_2 > rows))
        slope = (column_2 - column_1) / (row_2 - row_1) if crossed.size else 0.0
        at = column_1 + (rows[crossed] - row_1) * slope
        mask[crossed] ^= columns < at[:, None]
    return mask
