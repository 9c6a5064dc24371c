"""Covered: the series of a routed study, and what the ranking makes of them."""

from pathlib import Path

import numpy as np
from pydicom import dcmread

from tests.support.series import QUICK
from training.simulate.acquisition import sample_acquisition
from training.simulate.study import OTHERS, SELECTED, write_routed_study
from training.simulate.subject import sample_subject
from worker.pipeline.ranking.rank import rank
from worker.pipeline.ranking.series_facts import StudySeries


def test_the_coronal_series_is_ranked_first_and_three_are_rejected(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    subject = sample_subject(rng, condition="none")
    scanner = {**QUICK, "thickness_mm": 3.0, "increment_mm": 3.0, "slices": 12}
    coronal = sample_acquisition(rng, subject, "coronal", "pelvis", **scanner)

    written = write_routed_study(subject, coronal, tmp_path, size=96, most_slices=12)

    assert set(written) == {SELECTED, *OTHERS}
    headers = {
        name: dcmread(paths[0], stop_before_pixels=True) for name, paths in written.items()
    }
    assert len({ds.StudyInstanceUID for ds in headers.values()}) == 1
    assert len({ds.SeriesInstanceUID for ds in headers.values()}) == len(written)
    names = {str(ds.SeriesInstanceUID): name for name, ds in headers.items()}
    ranking = rank(StudySeries(uid, written[name]) for uid, name in names.items())
    codes = {
        names[one.series_instance_uid]: one.reason.code if one.reason else None
        for one in ranking.entries
    }
    assert [names[one.series_instance_uid] for one in ranking.candidates] == [
        SELECTED,
        "axial 5 mm soft",
        "axial 1 mm sharp",
    ]
    assert codes == {
        SELECTED: None,
        "axial 5 mm soft": None,
        "axial 1 mm sharp": None,
        "localizer": "LOCALIZER",
        "sagittal 3 mm": "ORIENTATION",
        "coronal MIP": "NOT_CT",
    }
