"""Covered: ``supervised.call`` with functions that return, fail, hang or end the process.

Not covered: more than a few calls at the same time.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from common import supervised
from common.supervised import ChildEnded, DeadlineExceeded
from tests.support import supervised_calls as calls
from tests.support.servers import child_environment, wait_for

SECONDS = 120.0


def test_the_result_is_returned() -> None:
    assert supervised.call(calls.add, 1, 2, seconds=SECONDS) == 3


@pytest.mark.parametrize(
    "function", [calls.wait, calls.spin, calls.hold_the_interpreter, calls.ignore_sigterm]
)
def test_a_call_that_never_returns_ends_at_its_deadline(function: Callable[[], None]) -> None:
    with pytest.raises(DeadlineExceeded):
        supervised.call(function, seconds=0.5)


def test_a_thread_that_is_left_does_not_delay_the_result() -> None:
    assert supervised.call(calls.leave_a_thread, seconds=SECONDS) == "returned"


def test_an_expected_error_is_raised_and_another_is_not_repeated() -> None:
    with pytest.raises(calls.Expected, match="text"):
        supervised.call(calls.fail, True, seconds=SECONDS, raises=(calls.Expected,))
    with pytest.raises(ChildEnded) as raised:
        supervised.call(calls.fail, False, seconds=SECONDS, raises=(calls.Expected,))
    assert "patient" not in str(raised.value)


def test_a_process_that_ends_without_a_result_is_reported_at_once() -> None:
    with pytest.raises(ChildEnded):
        supervised.call(calls.end_process, seconds=SECONDS)


def test_the_server_is_started_again_after_it_was_killed() -> None:
    supervised.call(calls.add, 1, 2, seconds=SECONDS)
    process = supervised._server._process
    assert process is not None
    process.kill()
    process.wait()

    assert supervised.call(calls.add, 1, 2, seconds=SECONDS) == 3


def test_calls_run_at_the_same_time() -> None:
    results: list[object] = []

    def wait_in_a_thread() -> None:
        with pytest.raises(DeadlineExceeded):
            supervised.call(calls.wait, seconds=3)
        results.append("deadline")

    thread = threading.Thread(target=wait_in_a_thread)
    thread.start()
    results.append(supervised.call(calls.add, 1, 2, seconds=SECONDS))
    thread.join()

    assert results == [3, "deadline"]


CALLER = """
import sys
from pathlib import Path
from common import supervised
from tests.support import supervised_calls
supervised.call(supervised_calls.write_pid_and_wait, Path(sys.argv[1]), seconds=600)
"""


def test_a_call_ends_with_its_parent(tmp_path: Path) -> None:
    """The script has no guard: the child must not run it again."""
    pid_file = tmp_path / "pid"
    with subprocess.Popen(
        [sys.executable, "-c", CALLER, str(pid_file)],
        env=child_environment() | {"PYTHONPATH": os.getcwd()},
    ) as parent:
        pid = wait_for(lambda: pid_file.exists() and pid_file.read_text(), "the child", 60)
        parent.send_signal(signal.SIGKILL)

    def ended() -> bool:
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
        return False

    wait_for(ended, "the end of the child", 60)


def test_the_child_has_none_of_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTEOSCREEN_DATABASE_URL", "secret")

    assert "OSTEOSCREEN_DATABASE_URL" not in supervised._environment()
