"""Covered: the budget of voxels of all threads. Not covered: the memory that they take."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from worker.pipeline.memory import VoxelBudget


def test_volumes_that_fit_together_are_held_together() -> None:
    budget = VoxelBudget(100)

    with budget.reserve(60), budget.reserve(40, timeout=0):
        pass


def test_a_volume_waits_until_another_one_is_released() -> None:
    budget = VoxelBudget(100)
    order: list[str] = []
    started = Event()

    def second() -> None:
        started.set()
        with budget.reserve(41):
            order.append("second")

    with ThreadPoolExecutor(1) as pool:
        with budget.reserve(60):
            waiting = pool.submit(second)
            assert started.wait(60)
            with pytest.raises(TimeoutError):
                # Does not fit for as long as the first is held, nor does the second.
                budget.reserve(41, timeout=0).__enter__()
            order.append("first")
        waiting.result(60)

    assert order == ["first", "second"]


def test_a_volume_larger_than_the_budget_is_held_alone() -> None:
    budget = VoxelBudget(100)

    with (
        budget.reserve(300, timeout=0),
        pytest.raises(TimeoutError, match="No memory for a volume of 1 voxels"),
        budget.reserve(1, timeout=0),
    ):
        pass
    with budget.reserve(1, timeout=0):
        pass


def test_an_error_releases_what_was_held() -> None:
    budget = VoxelBudget(100)
    with pytest.raises(KeyError), budget.reserve(100):
        raise KeyError

    with budget.reserve(100, timeout=0):
        pass
