"""The simulation of a hospital's day against results of queueing theory, and its page."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.bench.capacity import (
    CAUTIOUS,
    MEASURED,
    PROFILE,
    Cost,
    arrivals,
    fewest_workers,
    simulate,
    sizes,
    table,
    waiting_times,
)

PAGE = Path(__file__).parents[3] / "docs/capacity.md"
CONSTANT = (1.0,) * 24


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_one_worker_with_a_constant_service_time_waits_as_m_d_1(load: float) -> None:
    seconds = 10.0
    studies = round(load * 86_400 / seconds)

    generator = np.random.default_rng(1)
    arrived = arrivals(studies, 60, CONSTANT, generator)
    waits = waiting_times(arrived, np.full(arrived.size, seconds), 1)

    # Pollaczek-Khinchine for a constant service time.
    expected = load * seconds / (2 * (1 - load))
    assert waits.mean() == pytest.approx(expected, rel=0.1)


def test_studies_are_served_in_order_by_the_first_free_worker() -> None:
    arrived, service = np.array([0.0, 1.0, 2.0, 30.0]), np.array([10.0, 4.0, 4.0, 1.0])

    assert list(waiting_times(arrived, service, 2)) == [0.0, 0.0, 3.0, 0.0]
    assert list(waiting_times(arrived, service, 1)) == [0.0, 9.0, 12.0, 0.0]


def test_arrivals_have_the_profile_of_the_day() -> None:
    arrived = arrivals(10_000, 10, PROFILE, np.random.default_rng(2))

    hours = np.bincount((arrived // 3600).astype(int) % 24, minlength=24)
    assert arrived.size == pytest.approx(100_000, rel=0.02)
    assert np.all(np.diff(arrived) >= 0)
    assert hours.argmax() == 10
    shares = np.array(PROFILE) / sum(PROFILE)
    assert hours / arrived.size == pytest.approx(shares, abs=0.005)


def test_more_workers_wait_less_and_too_few_fall_behind() -> None:
    cost = Cost(20.0)
    fewest = fewest_workers(1_000, cost)

    too_few, enough, more = (
        simulate(1_000, workers, cost, days=3) for workers in (1, fewest, fewest + 1)
    )

    assert fewest == 1 or too_few.p95 > enough.p95
    assert enough.p95 > more.p95
    assert enough.busy == pytest.approx(1_000 * cost.mean_seconds / (86_400 * fewest), rel=0.1)


def test_page_states_the_measured_cost_and_its_simulation() -> None:
    page = PAGE.read_text()

    assert table(sizes(MEASURED)) in page
    assert table(sizes(CAUTIOUS)) in page
    stated = re.findall(r"worker, CPU time of a study \| ([\d.]+) s \| ([\d.]+) s", page)
    assert [tuple(map(float, one)) for one in stated] == [
        (MEASURED.screening_seconds, CAUTIOUS.screening_seconds)
    ]
