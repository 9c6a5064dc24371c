"""Covered: SIGKILL of the Storage SCP while it receives, by one and by eight associations, and
of one of its receivers; the same series by eight associations at once."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.hospital import Hospital
from tests.faults.quick import QuickSeries
from tests.servers import wait_for

LONG = 20
"""Times that each instance is sent: a series alone is there before anything can be killed."""

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("associations", [1, 8])
def test_a_killed_scp_has_kept_what_it_acknowledged(
    associations: int, hospital: Hospital, quick: QuickSeries, tmp_path: Path
) -> None:
    series = [quick.write(tmp_path / str(n)) for n in range(associations)]
    before = stored(hospital)

    with ThreadPoolExecutor(associations) as pool:
        sending = [pool.submit(hospital.send, paths * LONG) for paths in series]
        wait_for(lambda: stored(hospital) - before > 4 * associations, "some instances")
        hospital.scp.kill()
    assert not all(one.result() for one in sending), "it was over before the kill"
    hospital.start_scp()
    for paths in series:
        hospital.send_all(paths)

    hospital.check()


def test_a_killed_receiver_ends_the_scp_which_has_kept_what_it_acknowledged(
    hospital: Hospital, quick: QuickSeries, tmp_path: Path
) -> None:
    series = [quick.write(tmp_path / str(n)) for n in range(8)]
    before = stored(hospital)
    children = Path(f"/proc/{hospital.scp.pid}/task/{hospital.scp.pid}/children")

    with ThreadPoolExecutor(8) as pool:
        sending = [pool.submit(hospital.send, paths * LONG) for paths in series]
        wait_for(lambda: stored(hospital) - before > 32, "some instances")
        os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
        assert hospital.scp.wait(30) == 1
    assert not all(one.result() for one in sending), "it was over before the kill"
    hospital.start_scp()
    for paths in series:
        hospital.send_all(paths)

    hospital.check()


def stored(hospital: Hospital) -> int:
    return sum(1 for _ in hospital.spool_dir.glob("*.*/*/*.dcm"))


def test_the_same_series_by_eight_associations_at_once_is_one_series(
    hospital: Hospital, quick: QuickSeries, tmp_path: Path
) -> None:
    paths = quick.write(tmp_path / "series")

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(hospital.send, [paths] * 8))

    (history,) = hospital.check()
    assert history.series.revision == 1
    assert history.series.instance_count == len(paths)
