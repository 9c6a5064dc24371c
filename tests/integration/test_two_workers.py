"""Covered: two worker processes on one spool, database and broker share what is queued; no
series is screened twice, and each of them does its part.

Not covered: what the second one saves in time (``python -m tests.bench.two_workers``), workers
that are killed meanwhile (tests/faults).
"""

from pathlib import Path

import pytest

from tests.bench.two_workers import fill_spool, share

pytestmark = [pytest.mark.servers, pytest.mark.slow]
COUNT = 20


def test_two_workers_share_the_queue_and_screen_nothing_twice(
    child_settings: dict[str, object], model_dir: Path, spool_dir: Path, tmp_path: Path
) -> None:
    fill_spool(spool_dir, COUNT, tmp_path / "series")

    settings = child_settings | {"MODEL_DIR": model_dir}
    shared = share(settings, COUNT, tmp_path / "processes", [None, None])

    assert shared.screened == COUNT
    assert shared.screened_twice == 0
    assert len(shared.by_worker) == 2
    # Messages are taken one by one: neither worker takes more than the other leaves it.
    assert min(shared.by_worker) >= COUNT // 5
