"""Series that must be rejected: each breaks the rule of its name."""

import numpy as np
import pytest

from tests.support.simulated import SMALL, read_all
from training.simulate.invalid import KINDS, write_invalid
from training.simulate.subject import sample_subject
from training.simulate.truth import truth

BROKEN = {
    "sagittal": lambda series: (
        [float(v) for v in series[0].ImageOrientationPatient] == [0, 1, 0, 0, 0, -1]
    ),
    "localizer": lambda series: series[0].ImageType[2] == "LOCALIZER",
    "few-slices": lambda series: len(series) == 6,
    "gap": lambda series: (
        np.ptp(np.diff([float(ds.ImagePositionPatient[1]) for ds in series])) > 4
    ),
    "child": lambda series: series[0].PatientAge == "011Y",
    "metal": lambda series: any(
        int(ds.pixel_array.max()) + int(ds.RescaleIntercept) >= 3071 for ds in series
    ),
    "mixed": lambda series: (
        len({ds.PatientID for ds in series}) == 2
        and len({ds.SeriesInstanceUID for ds in series}) == 1
    ),
    "abdomen": lambda series: _lowest_scanned_mm(series) > _top_of_heads_mm("abdomen", 1),
}


def _lowest_scanned_mm(datasets):
    """Return the lowest z of a row with other values than padding."""
    lowest = []
    for ds in datasets:
        z = ds.ImagePositionPatient[2] - ds.PixelSpacing[0] * np.arange(ds.Rows)
        hu = ds.pixel_array.astype(int) + int(ds.RescaleIntercept)
        lowest.append(z[(hu > -1024).any(axis=1)].min())
    return min(lowest)


def _top_of_heads_mm(kind, seed):
    rng = np.random.default_rng([seed, KINDS.index(kind)])  # as in ``write_invalid``
    return max(hip.center_mm[2] + hip.radius_mm for hip in truth(sample_subject(rng)))


@pytest.mark.parametrize("kind", KINDS)
def test_an_invalid_series_breaks_the_rule_of_its_name(tmp_path, kind):
    datasets = read_all(write_invalid(kind, tmp_path, seed=1, **SMALL))

    assert BROKEN[kind](datasets)
    assert len({ds.SeriesInstanceUID for ds in datasets}) == 1
