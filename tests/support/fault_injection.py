"""Fault injection: ``celery worker --include tests.support.fault_injection``, or an import
before ``storescp.__main__``.

Injects faults that cannot be caused from outside of the process.

``FAULT_KILL_AT=worker.pipeline.load.read_volume`` : the process sends itself SIGKILL when that
function is called; with the suffix ``:after``, when it has returned. ``FAULT_KILL_ON=text`` :
only in a call with this text in its arguments.
``FAULT_HANG_AT=worker.pipeline.load.read_volume`` : that function never returns.
``FAULT_VALUES={"worker.delivery.store_scu.REPORT_SECONDS": 3}`` : other values of constants,
so that no test waits for minutes.
``FAULT_CLOCK=path`` : each reading of the wall clock is shifted by the seconds in that file.
"""

import functools
import importlib
import json
import os
import signal
import threading
import time
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

OPTIONS = ("--include", "tests.support.fault_injection")


def _find(name: str) -> tuple[Any, str]:
    """Return the module or class that holds ``name``, and the last part of the name."""
    *path, last = name.split(".")
    for length in range(len(path), 0, -1):
        try:
            owner: Any = importlib.import_module(".".join(path[:length]))
        except ModuleNotFoundError:
            continue
        for part in path[length:]:
            owner = getattr(owner, part)
        return owner, last
    raise ModuleNotFoundError(name)


def _kill_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(step: str) -> None:
    """Replace a function by one that kills the process."""
    name, _, when = step.partition(":")
    owner, last = _find(name)
    function = getattr(owner, last)

    @functools.wraps(function)
    def killing(*args: Any, **options: Any) -> Any:
        if os.environ.get("FAULT_KILL_ON", "") not in repr(args):
            return function(*args, **options)
        if when != "after":
            _kill_process()
        result = function(*args, **options)
        _kill_process()
        return result

    setattr(owner, last, killing)


def hang_at(name: str) -> None:
    """Replace a function by one that never returns; it says so in the log."""
    owner, last = _find(name)

    def hanging(*_: Any, **__: Any) -> None:
        print(f"hangs at {name}", flush=True)
        threading.Event().wait()

    setattr(owner, last, hanging)


def set_clock(path: Path) -> None:
    """Shift the wall clock; the monotonic clock is unchanged, as on a real machine."""
    system_time = time.time

    def shifted() -> float:
        return system_time() + float(path.read_text())

    class ShiftedDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(shifted(), tz)

    time.time = shifted
    owner, last = _find("worker.context.datetime")
    setattr(owner, last, ShiftedDatetime)


if "FAULT_CLOCK" in os.environ:
    set_clock(Path(os.environ["FAULT_CLOCK"]))
if "FAULT_KILL_AT" in os.environ:
    kill_at(os.environ["FAULT_KILL_AT"])
if "FAULT_HANG_AT" in os.environ:
    hang_at(os.environ["FAULT_HANG_AT"])
for constant, value in json.loads(os.environ.get("FAULT_VALUES", "{}")).items():
    owner, last = _find(constant)
    getattr(owner, last)  # raises if the constant was renamed
    setattr(owner, last, value)
