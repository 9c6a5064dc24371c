"""Covered: sums of blocks of pixels."""

import numpy as np
import pytest

from worker.pipeline.validation.blocks import block_sums


@pytest.mark.parametrize(("high", "wide"), [(1, 1), (2, 2), (3, 3), (2, 5)])
def test_a_block_has_the_sum_of_its_pixels(high: int, wide: int) -> None:
    hu = np.random.default_rng(5).integers(-1024, 32767, (3, 13, 17)).astype(np.int16)

    sums = block_sums(hu, high, wide)

    assert sums.shape == (3, 13 // high, 17 // wide)
    for (index, row, column), found in np.ndenumerate(sums):
        block = hu[index, row * high : (row + 1) * high, column * wide : (column + 1) * wide]
        assert found == block.sum(dtype=np.int64)
