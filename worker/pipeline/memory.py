"""Budget of memory for the volumes that one process holds at once.

The threads of a worker screen series at the same time. Each volume is limited, but the largest
of all threads together would exceed the memory of the process.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from worker.pipeline.limits import MAX_VOXELS_AT_ONCE

MAX_WAIT_SECONDS = 600.0


class VoxelBudget:
    """Number of voxels that all volumes together may have.

    A volume larger than the budget is admitted when no other one is held.
    """

    def __init__(self, voxels: int) -> None:
        self._voxels = voxels
        self._held = 0
        self._changed = Condition()

    @contextmanager
    def reserve(self, voxels: int, *, timeout: float = MAX_WAIT_SECONDS) -> Iterator[None]:
        """Hold ``voxels`` during the block, after other volumes have left room for them.

        Raises TimeoutError.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._fits(voxels), timeout):
                raise TimeoutError(
                    f"No memory for a volume of {voxels} voxels within {timeout:.0f} s: other "
                    f"series hold {self._held} of {self._voxels}."
                )
            self._held += voxels
        try:
            yield
        finally:
            with self._changed:
                self._held -= voxels
                self._changed.notify_all()

    def _fits(self, voxels: int) -> bool:
        return self._held == 0 or self._held + voxels <= self._voxels


VOLUMES = VoxelBudget(MAX_VOXELS_AT_ONCE)
