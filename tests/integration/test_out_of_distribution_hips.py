"""Covered: a series whose hips are out of the model's distribution is rejected, on the whole
path from the Storage SCP to the database."""

from pathlib import Path

import numpy as np
import pytest

from db.states import SeriesState
from tests.support.history import Record
from tests.support.series import uid_of
from tests.support.servers import storescu
from tests.support.services import StartProcess

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.fixture(scope="session")
def strict_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model package for which every crop is out of distribution."""
    from tests.support.model_factory import make_untrained_package  # TensorFlow
    from worker.pipeline.model.classify import OutOfDistributionScore

    features = 304  # of the compact preset
    strict = OutOfDistributionScore(np.zeros(features), np.eye(features), limit=0.0)
    return make_untrained_package(tmp_path_factory.mktemp("strict"), strict)


def test_hips_unlike_the_training_data_are_rejected_with_their_reason(
    child_settings: dict[str, object],
    strict_model_dir: Path,
    coronal_series: tuple[Path, ...],
    start_storescp: StartProcess,
    start_celery: StartProcess,
) -> None:
    settings = {**child_settings, "MODEL_DIR": strict_model_dir}
    start_storescp(settings)
    start_celery(settings)

    sent = storescu(coronal_series, int(str(settings["PORT"])))

    assert sent.returncode == 0, sent.stderr
    with Record(str(settings["DATABASE_URL"])) as record:
        series = record.wait_until(uid_of(coronal_series)).series
    assert series.state is SeriesState.REJECTED
    assert series.reason_code == "OUT_OF_DISTRIBUTION"
    text = "The crop is unlike the hips that the model was trained on (distance "
    assert series.reason_text.startswith(text)
