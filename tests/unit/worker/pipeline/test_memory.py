"""Covered: the budget of voxels of all threads, and what a series reserves of it.
Not covered: the memory that they take."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from tests.support.ct_volume import AXIAL, load_series, write_ct
from worker.pipeline import load, volume_layout
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


class Recorder(VoxelBudget):
    """A budget that notes what is reserved."""

    def __init__(self) -> None:
        super().__init__(10**9)
        self.reserved: list[int] = []

    @contextmanager
    def reserve(self, voxels: int, *, timeout: float = 0) -> Iterator[None]:
        self.reserved.append(voxels)
        with super().reserve(voxels, timeout=timeout):
            yield


def test_a_series_reserves_its_volume_and_the_one_interpolated_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hu = np.zeros((10, 32, 40), np.int16)
    coronal, volume = load_series(write_ct(tmp_path / "a", hu))
    axial, reformatted = load_series(
        write_ct(tmp_path / "b", hu, directions=AXIAL, step=(0, 0, 3), spacing=(1.25, 1.5))
    )
    monkeypatch.setattr(load, "VOLUMES", recorder := Recorder())

    for series in (coronal, axial):
        with load.reserve_memory(series):
            pass

    slabs = 10 * 16 * 40
    assert recorder.reserved == [volume.hu.size, slabs + reformatted.hu.size]
    assert reformatted.hu.size > slabs


def test_a_series_over_a_limit_reserves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series, _ = load_series(write_ct(tmp_path, np.zeros((10, 8, 6), np.int16)))
    monkeypatch.setattr(volume_layout, "MAX_KEPT_VOXELS", 479)
    monkeypatch.setattr(load, "VOLUMES", recorder := Recorder())

    with load.reserve_memory(series):
        assert recorder.reserved == []
