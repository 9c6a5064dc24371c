"""A checkpoint for pynetdicom's reactor that cannot be passed while we wait for an answer.

As a requestor, pynetdicom 3.0.4 pauses its reactor thread before it sends: it clears an event
and looks whether ``_is_paused`` is set. The reactor sets that flag *before* it waits for the
event, so one that has just been let through, and is then held up by a busy machine, still
counts as paused. It goes on after the request is sent, takes the response off the queue and
drops it, and the sender waits for its whole DIMSE time-out (seen about once in 500 C-STOREs
with three busy processes on two cores).
"""

import threading

from pynetdicom import Association

LOOK_SECONDS = 0.1


class Checkpoint(threading.Event):
    """``clear`` returns when the reactor is known to wait here, or has ended."""

    def __init__(self, reactor: threading.Thread) -> None:
        super().__init__()
        self._reactor = reactor
        self._waiting = threading.Event()
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Called by the reactor only, once a round."""
        while True:
            self._waiting.set()
            passed = super().wait(timeout)
            self._waiting.clear()
            # Cleared in between: whoever cleared it has seen us waiting, so wait again.
            if self.is_set() or not passed:
                return passed

    def clear(self) -> None:
        """Close the checkpoint; the reactor itself (at a time-out) does not wait for itself."""
        super().clear()
        if threading.current_thread() is self._reactor:
            return
        while not self._waiting.wait(LOOK_SECONDS) and self._reactor.is_alive():
            pass


def guard(assoc: Association) -> None:
    """Give an association that was just established the checkpoint above."""
    assoc._reactor_checkpoint = Checkpoint(assoc)
