"""Covered: SIGKILL of the Storage SCP while it receives over one and over eight associations,
and of one of its receiver processes; the same series over eight associations at once."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.quick_series import QuickSeries
from tests.support.servers import wait_for
from tests.support.system_under_test import SystemUnderTest

REPEATS = 20
"""How often each instance is sent; a series sent once would arrive before the kill."""

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.mark.parametrize("associations", [1, 8])
@pytest.mark.covers("H16", "R1")
def test_a_killed_scp_has_kept_all_acknowledged_instances(
    associations: int, system: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    series = [quick.write(tmp_path / str(n)) for n in range(associations)]
    before = stored(system)

    with ThreadPoolExecutor(associations) as pool:
        sending = [pool.submit(system.send, paths * REPEATS) for paths in series]
        wait_for(lambda: stored(system) - before > 4 * associations, "some instances")
        system.scp.kill()
    assert not all(one.result() for one in sending), "all was sent before the kill"
    system.start_scp()
    for paths in series:
        system.send_all(paths)

    system.check()


def test_a_killed_receiver_ends_the_scp_which_has_kept_all_acknowledged_instances(
    system: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    series = [quick.write(tmp_path / str(n)) for n in range(8)]
    before = stored(system)
    children = Path(f"/proc/{system.scp.pid}/task/{system.scp.pid}/children")

    with ThreadPoolExecutor(8) as pool:
        sending = [pool.submit(system.send, paths * REPEATS) for paths in series]
        wait_for(lambda: stored(system) - before > 32, "some instances")
        os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
        assert system.scp.wait(30) == 1
    assert not all(one.result() for one in sending), "all was sent before the kill"
    system.start_scp()
    for paths in series:
        system.send_all(paths)

    system.check()


def stored(system: SystemUnderTest) -> int:
    return sum(1 for _ in system.spool_dir.glob("*.*/*/*.dcm"))


def test_the_same_series_by_eight_associations_at_once_is_one_series(
    system: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    paths = quick.write(tmp_path / "series")

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(system.send, [paths] * 8))

    (history,) = system.check()
    assert history.series.revision == 1
    assert history.series.instance_count == len(paths)
