"""The whole path on real CT: storescu → Storage SCP → Celery with the shipped model → Orthanc.

Covered: positions of the heads in both planes, one hip in view, volumes without a hip. Not
covered: grades (no patient of the folder has a DXA result).
"""

from pathlib import Path

import numpy as np
import pytest

from db.states import SeriesState
from tests.support.real_ct import FOLDER, RealCt, realct
from tests.support.series import study_of
from tests.support.worker_fixture import WorkerFixture
from worker.pipeline.model.package import SHIPPED_DIR

pytestmark = [*realct, pytest.mark.servers, pytest.mark.slow]

# Both hips with all of the bones around them.
HIPS = ("--crop", "-190", "200", "-120", "140", "-66", "190")


@pytest.fixture(scope="session")
def model_dir() -> Path:
    """The shipped model, used by the ``worker_fixture`` of this module."""
    return SHIPPED_DIR


@pytest.fixture(scope="module")
def real_ct() -> RealCt:
    return RealCt(FOLDER)


@pytest.mark.parametrize(
    ("case", "plane", "crop"),
    [("pelvis_two_hips", "axial", HIPS), ("STS_036", "coronal", ())],
    ids=["both hips axial", "left hip coronal"],
)
def test_real_hips_reach_the_pacs_as_sr_and_sc(
    worker_fixture: WorkerFixture,
    real_ct: RealCt,
    case: str,
    plane: str,
    crop: tuple[str, ...],
    tmp_path: Path,
) -> None:
    seed = f"{case} {plane}"
    paths = real_ct.series(case, tmp_path, "--plane", plane, "--seed", seed, *crop)
    heads = real_ct.heads_mm(case)

    history = worker_fixture.record.wait_until(worker_fixture.send(paths))

    assert history.series.state is SeriesState.DELIVERED, history.series.reason_text
    assert {ds.Modality for ds in worker_fixture.objects(study_of(paths)).values()} == {
        "SR",
        "OT",
    }
    graded = {hip.side: hip for hip in history.hips if hip.state == "graded"}
    assert set(graded) == set(heads)
    for side, head in heads.items():
        hip = graded[side]
        found = (hip.center_x_mm, hip.center_y_mm, hip.center_z_mm)
        assert np.linalg.norm(np.subtract(found, head)) < 5


def test_real_ct_without_a_whole_hip_is_rejected(
    worker_fixture: WorkerFixture, real_ct: RealCt, tmp_path: Path
) -> None:
    paths = real_ct.series("STS_026", tmp_path, "--plane", "axial", "--seed", "STS_026 axial")

    series = worker_fixture.record.wait_until(worker_fixture.send(paths)).series

    assert (series.state, series.reason_code) == (SeriesState.REJECTED, "NO_FEMUR")
    assert worker_fixture.objects(study_of(paths)) == {}
