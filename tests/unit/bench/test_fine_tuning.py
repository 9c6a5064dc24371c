"""The hips on which fine-tuning is compared. Not covered: the training runs."""

from pathlib import Path

import numpy as np
import pytest

from tests.bench import fine_tuning


def test_the_site_has_all_that_training_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fine_tuning, "TEST_PATIENTS", 2)
    monkeypatch.setattr(fine_tuning, "SIZES", (1,))

    hips = fine_tuning.load_site(tmp_path)

    assert [record.kvp for record in hips.records] == [80, 80, 80]
    assert hips.pixels.shape == (3, 250, 250)
    assert hips.femurs is not None
    assert hips.femurs.shape == (3, 250, 250)
    assert np.all(hips.femurs.min(axis=(1, 2)) < 0)
    assert hips.outline(0) is not None
    again = fine_tuning.load_site(tmp_path)
    np.testing.assert_array_equal(again.pixels, hips.pixels)
