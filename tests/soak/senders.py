"""Modalities that send series or studies, and what must have become of them at the end."""

import random
import shutil
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydicom import dcmread
from sqlalchemy.exc import DBAPIError

from db.models import Screening
from db.states import FINAL, RunOutcome, StudyState
from tests.support.invariants import Violation, study_violations
from tests.support.quick_series import (
    QuickSeries,
    make_quick_series,
    new_uid,
    read_quick_series,
)
from tests.support.servers import wait_for
from tests.support.study_series import SIX_SERIES, Change
from tests.support.system_under_test import SystemUnderTest, held_by

TOO_FEW = slice(0, 6)
LATE = slice(-2, None)
ASSOCIATIONS = 4
STUDY_ENDED = frozenset(
    {StudyState.DELIVERED, StudyState.NOTHING_TO_REPORT, StudyState.FAILED, None}
)


class Modalities(ABC):
    """Senders that repeat sending until all instances are acknowledged."""

    def __init__(self, system: SystemUnderTest, folder: Path, rng: random.Random) -> None:
        self.system = system
        self.folder = folder
        self.rng = rng
        self.sent: Counter[str] = Counter()

    @abstractmethod
    def send(self, number: int) -> None:
        """Send one series or study."""

    @abstractmethod
    def unfinished(self) -> set[str]:
        """Return the UIDs of what has not ended with all acknowledged instances."""

    @abstractmethod
    def count(self) -> int:
        """Return how many series or studies have an acknowledged instance."""

    @abstractmethod
    def violations(self) -> list[Violation]:
        """Return the violated invariants at the end."""

    @abstractmethod
    def report(self) -> dict[str, Any]:
        """Return the numbers of what was sent and of what became of it."""

    def _send_all(self, paths: Sequence[Path]) -> None:
        while not self.system.send(paths):
            self.sent["sent again"] += 1
            time.sleep(0.5)

    def _send_parallel(self, paths: Sequence[Path]) -> None:
        with ThreadPoolExecutor(ASSOCIATIONS) as pool:
            parts = (paths[first::ASSOCIATIONS] for first in range(ASSOCIATIONS))
            list(pool.map(self._send_all, parts))


class SeriesModalities(Modalities):
    """Series in studies of their own, each with a result."""

    def __init__(self, system: SystemUnderTest, folder: Path, rng: random.Random) -> None:
        super().__init__(system, folder, rng)
        self._quick = make_quick_series(folder / "quick")

    def send(self, number: int) -> None:
        """Of ten series, three are rejected, one is late, one is sent in parallel."""
        kinds = {1: "rejected", 3: "rejected", 5: "late", 7: "parallel", 9: "rejected"}
        kind = kinds.get(number % 10, "whole")
        folder = self.folder / str(number)
        paths = self._quick.write(folder, TOO_FEW if kind == "rejected" else slice(None))
        if kind == "late":
            self._send_all(paths[: LATE.start])
            time.sleep(self.rng.uniform(0.0, 6.0))
            self._send_all(paths[LATE])
        elif kind == "parallel":
            self._send_parallel(paths)
        else:
            self._send_all(paths)
        self.sent[kind] += 1
        shutil.rmtree(folder)

    def unfinished(self) -> set[str]:
        return {key.series_instance_uid for key in self.system.unfinished()}

    def count(self) -> int:
        return len(self.system.acknowledged.series)

    def violations(self) -> list[Violation]:
        return self.system.violations()

    def report(self) -> dict[str, Any]:
        record = self.system.record
        histories = [
            record.history(key.series_instance_uid) for key in self.system.acknowledged.series
        ]
        runs = [run for history in histories for run in history.screenings]
        return {
            "series": len(histories),
            "states": dict(Counter(history.series.state.value for history in histories)),
            "revisions": sum(history.series.revision for history in histories),
            "runs": _outcomes(runs),
        }


class StudyModalities(Modalities):
    """Studies of three to six series with one result."""

    def __init__(self, system: SystemUnderTest, folder: Path, rng: random.Random) -> None:
        super().__init__(system, folder, rng)
        base = make_quick_series(folder / "quick")
        self._templates = {
            name: _changed(base, change, folder / f"template {name}")
            for name, change in SIX_SERIES.items()
        }

    def send(self, number: int) -> None:
        """Of ten studies, one has nothing to report, two have a series that comes late.

        The late one is better than the one that was reported, or worse.
        """
        kinds = {1: "nothing to report", 3: "parallel", 5: "better late", 7: "worse late"}
        kind = kinds.get(number % 10, "whole")
        folder, study = self.folder / str(number), new_uid()
        files = {
            name: self._templates[name].write(folder / name, study=study)
            for name in self._series_of(kind)
        }
        late = {"better late": "soft", "worse late": "sharp"}.get(kind)
        first = [path for name, paths in files.items() if name != late for path in paths]
        self.rng.shuffle(first)
        if kind == "parallel":
            self._send_parallel(first)
        else:
            self._send_all(first)
        if late is not None:
            wait_for(lambda: self._has_ended(study), "end of a study", 1200)
            self._send_all(files[late])
        self.sent[kind] += 1
        shutil.rmtree(folder)

    def _series_of(self, kind: str) -> list[str]:
        if kind == "nothing to report":
            return ["localizer", "projection"]
        others = sorted(SIX_SERIES.keys() - {"soft", "sharp"})
        return ["soft", "sharp", *self.rng.sample(others, self.rng.randint(1, len(others)))]

    def _has_ended(self, study: str) -> bool:
        with suppress(DBAPIError):  # PostgreSQL was just killed
            return self.system.record.study_states().get(study) in STUDY_ENDED - {None}
        return False

    def unfinished(self) -> set[str]:
        series = self.system.record.queue_status()
        studies = self.system.record.study_states()
        return {
            key.study_instance_uid
            for key, count in self.system.acknowledged.counts().items()
            if key not in series
            or series[key][0] not in FINAL
            or series[key][1] < count
            or studies.get(key.study_instance_uid) not in STUDY_ENDED
        }

    def count(self) -> int:
        return len(self._studies())

    def _studies(self) -> list[str]:
        keys = self.system.acknowledged.series
        return list(dict.fromkeys(key.study_instance_uid for key in keys))

    def violations(self) -> list[Violation]:
        histories = {uid: self.system.record.find_study(uid) for uid in self._studies()}
        destinations: list[Mapping[str, object]] = self.system.settings["DESTINATIONS"]  # type: ignore[assignment]
        held = held_by(self.system.orthanc)
        return study_violations(
            self.system.acknowledged,
            histories,
            self.system.spool_dir,
            {str(one["name"]): held for one in destinations},
        )

    def report(self) -> dict[str, Any]:
        found = [self.system.record.find_study(uid) for uid in self._studies()]
        histories = [history for history in found if history is not None]
        runs = [run for history in histories for run in history.screenings]
        series = [one for history in histories for one in history.series]
        return {
            "studies": len(histories),
            "series": len(series),
            "states": dict(Counter(str(history.study.state) for history in histories)),
            "series_states": dict(Counter(one.state.value for one in series)),
            "runs": _outcomes(runs),
            "withdrawn": sum(run.withdrawn_at is not None for run in runs),
        }


def _changed(base: QuickSeries, change: Change, folder: Path) -> QuickSeries:
    """Return a template of the same series with other headers."""
    paths = base.write(folder / "changed")
    for index, path in enumerate(paths):
        ds = dcmread(path)
        change(index, ds)
        ds.save_as(path)
    return read_quick_series(paths, folder / "read")


def _outcomes(runs: Iterable[Screening]) -> dict[str, int]:
    counted = Counter(run.outcome for run in runs)
    return {outcome.value: counted[outcome] for outcome in RunOutcome if counted[outcome]}
