"""Covered: two worker processes on one spool, database and broker share the queue; no series is
screened twice, and each of them screens a part.

Not covered: the time that the second one saves (``python -m tests.bench.two_workers``), killed
workers (tests/faults).
"""

from pathlib import Path

import pytest

from tests.bench.two_workers import fill_spool, share

pytestmark = [pytest.mark.servers, pytest.mark.slow]
COUNT = 12


@pytest.mark.covers("R6")
def test_two_workers_share_the_queue_and_screen_nothing_twice(
    child_settings: dict[str, object], model_dir: Path, spool_dir: Path, tmp_path: Path
) -> None:
    fill_spool(spool_dir, COUNT, tmp_path / "series")

    settings = child_settings | {"MODEL_DIR": model_dir}
    shared = share(settings, COUNT, tmp_path / "processes", [None, None])

    assert shared.screened == COUNT
    assert shared.screened_twice == 0
    assert len(shared.by_worker) == 2
    # Prefetch multiplier 1: no worker reserves messages that the other could take.
    assert min(shared.by_worker) >= COUNT // 5
