"""Covered: the checkpoint and a reactor thread. Not covered: associations (integration)."""

import threading
import time

from common.dicomnet.checkpoint import Checkpoint


class Reactor(threading.Thread):
    """Passes the checkpoint repeatedly and counts its cycles."""

    def __init__(self, rounds: int | None = None) -> None:
        super().__init__(daemon=True)
        self.checkpoint = Checkpoint(self)
        self.rounds = rounds
        self.passed = 0
        self.busy = False

    def run(self) -> None:
        while self.rounds is None or self.passed < self.rounds:
            self.checkpoint.wait()
            self.busy = True
            time.sleep(0.0002)
            self.busy = False
            self.passed += 1


def test_reactor_never_works_while_the_checkpoint_is_cleared() -> None:
    reactor = Reactor()
    reactor.start()

    for _ in range(300):
        reactor.checkpoint.clear()
        before = reactor.passed
        time.sleep(0.0005)

        assert not reactor.busy
        assert reactor.passed == before

        reactor.checkpoint.set()


def test_clear_does_not_wait_for_a_reactor_that_has_ended() -> None:
    reactor = Reactor(rounds=3)
    reactor.start()
    reactor.join()

    reactor.checkpoint.clear()

    assert not reactor.checkpoint.is_set()


def test_reactor_may_clear_its_own_checkpoint() -> None:
    checkpoint = Checkpoint(threading.current_thread())

    checkpoint.clear()

    assert not checkpoint.is_set()
