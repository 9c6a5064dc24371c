"""Loaded into a worker by ``celery worker --include tests.faults.inject``: what cannot be asked
of it from outside.

``FAULT_KILL_AT=worker.pipeline.load.read_volume`` : SIGKILL to itself when that function is
called; with ``:after`` behind the name, when it has returned.
``FAULT_VALUES={"worker.dimse.ANSWER_SECONDS": 3}`` : other values of constants, so that no test
waits for minutes.
``FAULT_CLOCK=path`` : the wall clock is off by the seconds in that file, at every look.
"""

import functools
import importlib
import json
import os
import signal
import time
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

OPTIONS = ("--include", "tests.faults.inject")


def _find(name: str) -> tuple[Any, str]:
    """The module or class that holds ``name``, and its last part."""
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


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(place: str) -> None:
    """Replace a function by one that ends the process."""
    name, _, when = place.partition(":")
    owner, last = _find(name)
    function = getattr(owner, last)

    @functools.wraps(function)
    def deadly(*args: Any, **options: Any) -> Any:
        if when != "after":
            _die()
        result = function(*args, **options)
        _die()
        return result

    setattr(owner, last, deadly)


def set_clock(path: Path) -> None:
    """Let the wall clock jump; the monotonic one goes on, as on a real machine."""
    real = time.time

    def wrong() -> float:
        return real() + float(path.read_text())

    class WrongDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(wrong(), tz)

    time.time = wrong
    owner, last = _find("worker.workshop.datetime")
    setattr(owner, last, WrongDatetime)


if "FAULT_CLOCK" in os.environ:
    set_clock(Path(os.environ["FAULT_CLOCK"]))
if "FAULT_KILL_AT" in os.environ:
    kill_at(os.environ["FAULT_KILL_AT"])
for constant, value in json.loads(os.environ.get("FAULT_VALUES", "{}")).items():
    owner, last = _find(constant)
    getattr(owner, last)  # or nobody would notice that it was renamed
    setattr(owner, last, value)
