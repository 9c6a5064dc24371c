"""The whole system as real processes, each of which can be killed and started again."""

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from celery import Celery

from db.overview import SeriesHistory
from db.spool import SeriesKey
from db.states import SeriesState
from deploy.embedded import Postgres, Redis, free_port
from deploy.processes import CELERY, STORESCP, Process
from tests.conftest import upgrade, wait_until_ready
from tests.ct_factory import PATIENT_BIRTH_DATE, PATIENT_ID, PATIENT_NAME
from tests.faults.invariants import FINAL, GOOD, Acknowledged, Violation, violations
from tests.history import Record
from tests.servers import (
    Orthanc,
    child_environment,
    running_orthanc,
    storescu,
    wait_for,
    wait_until_listening,
)
from worker.nudge import Nudges

PATIENCE_SECONDS = 240.0  # on a machine that others use, too
SECRETS = (*PATIENT_NAME.split("^"), PATIENT_ID, PATIENT_BIRTH_DATE)
SENT = re.compile(r"Sending file: (.+)\n(?:(?!.*Sending file).*\n)*?.*Response \(Success\)")


class Hospital:
    """Storage SCP, worker, PostgreSQL, Redis and a PACS, and what senders were told."""

    def __init__(self, folder: Path, orthanc: Orthanc, **settings: object) -> None:
        self.folder = folder
        self.orthanc = orthanc
        self.postgres, self.redis = Postgres(), Redis(durable=True)
        self.acknowledged = Acknowledged()
        self.settings: dict[str, object] = {
            "DATABASE_URL": self.postgres.url,
            "BROKER_URL": self.redis.url,
            "SPOOL_DIR": folder / "spool",
            "HOST": "127.0.0.1",
            "PORT": free_port(),
            "QUIET_SECONDS": 1,
            "MIN_FREE_MB": 1,
            "SWEEP_SECONDS": 1,
            "LEASE_SECONDS": 5,
            "MAX_ATTEMPTS": 20,
            "DESTINATIONS": [orthanc.dimse_destination()],
            **settings,
        }
        self.scp = self._process(STORESCP, "scp")
        self.worker = self._process(CELERY, "worker")
        self.record = Record(self.postgres.url)

    @property
    def spool_dir(self) -> Path:
        return Path(str(self.settings["SPOOL_DIR"]))

    @property
    def port(self) -> int:
        return int(str(self.settings["PORT"]))

    @property
    def logs(self) -> str:
        """All that SCP and workers have printed."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def start_scp(self, **environment: str) -> None:
        """Start the Storage SCP and wait until it listens."""
        self.scp.environment = child_environment(self.settings) | environment
        self.scp.start()
        wait_until_listening(self.scp, self.port)

    def start_worker(self, *options: str, wait: bool = True, **environment: str) -> None:
        """Start the worker, by default until it is ready."""
        self.worker.command = (*CELERY, *options)
        self.worker.environment = child_environment(self.settings) | environment
        ready = self.worker.log.count(" ready.")
        self.worker.start()
        if wait:
            wait_until_ready(self.worker, ready + 1)

    def another_worker(self, number: int = 2) -> Process:
        """A worker like the first; to be started and stopped by the caller."""
        another = self._process(self.worker.command, f"worker{number}")
        another.environment = dict(self.worker.environment)
        return another

    def send(self, paths: Sequence[Path]) -> bool:
        """Send in one association; remembers what was acknowledged. Whether it was all."""
        said = storescu(paths, self.port, options=["-v", "-R"])
        stored = [Path(path) for path in SENT.findall(said.stdout + said.stderr)]
        self.acknowledged.add(stored)
        return said.returncode == 0 and len(stored) == len(paths)

    def send_all(self, paths: Sequence[Path]) -> None:
        """Send again and again, as modalities do, until all is acknowledged."""
        wait_for(lambda: self.send(paths), "the series to be acknowledged", PATIENCE_SECONDS)

    def unfinished(self) -> list[SeriesKey]:
        """Acknowledged series that have not come to an end with all of their instances."""
        standing = self.record.standing()
        return [
            key
            for key, count in self.acknowledged.counts().items()
            if key not in standing or standing[key][0] not in FINAL or standing[key][1] < count
        ]

    def wait_until_all_ended(self, seconds: float = PATIENCE_SECONDS) -> None:
        wait_for(lambda: not self.unfinished(), "all series to end", seconds)

    def violations(self, good: frozenset[SeriesState] = GOOD) -> list[Violation]:
        """What is not as it must be, now that all has come to an end."""
        names = [str(one["name"]) for one in self.settings["DESTINATIONS"]]  # type: ignore[attr-defined]
        keys = self.acknowledged.series
        histories = {key: self.record.find(key.series_instance_uid) for key in keys}
        mine = {
            sent.result_object.sop_instance_uid
            for history in histories.values()
            for sent in (history.deliveries if history else ())
        }
        # What an earlier test has left unfinished may still arrive.
        others = self.record.object_uids() - mine
        held = Counter(
            {uid: n for uid, n in held_by(self.orthanc).items() if uid not in others}
        )
        return violations(
            self.acknowledged,
            histories,
            self.spool_dir,
            dict.fromkeys(names, held),
            good=good,
        )

    def check(
        self, seconds: float = PATIENCE_SECONDS, good: frozenset[SeriesState] = GOOD
    ) -> list[SeriesHistory]:
        """Wait for the end of all series, then assert that nothing is lost or doubled, and
        that no log names a patient; what is on record of each series."""
        self.wait_until_all_ended(seconds)
        found = [one.text for one in self.violations(good)]
        found += [f"a log holds {secret}" for secret in SECRETS if secret in self.logs]
        assert not found, "\n".join(found)
        return [self.history(key) for key in self.acknowledged.series]

    def history(self, key: SeriesKey) -> SeriesHistory:
        return self.record.history(key.series_instance_uid)

    def found(self, key: SeriesKey) -> bool:
        """Whether the series is on record."""
        return self.record.find(key.series_instance_uid) is not None

    def nudge(self, series_id: int) -> None:
        """One more message for the workers."""
        app = Celery("test", broker=self.redis.url, set_as_current=False)
        Nudges(app).screen(series_id)
        app.close()

    def retry(self, key: SeriesKey) -> None:
        """``python -m worker retry``."""
        command = (sys.executable, "-m", "worker", "retry", key.series_instance_uid)
        process = self._process(command, "retry")
        process.environment = child_environment(self.settings)
        with process:
            assert process.wait(60) == 0, process.log

    def forget(self) -> None:
        """Begin the next test with an empty PACS and nothing sent."""
        self.orthanc.clear()
        self.acknowledged = Acknowledged()

    def stop(self) -> None:
        """Stop what runs, in order."""
        for process in (self.worker, self.scp):
            process.stop()

    def _process(self, command: tuple[str, ...], name: str) -> Process:
        cwd = self.folder / "cwd"  # not the repository: a .env of the developer's lies there
        cwd.mkdir(parents=True, exist_ok=True)
        return Process(command, environment={}, log_path=self.folder / f"{name}.log", cwd=cwd)


@contextmanager
def running_hospital(folder: Path, **settings: object) -> Iterator[Hospital]:
    """Servers, PACS and an upgraded database; SCP and worker are not started yet."""
    with ExitStack() as stack:
        orthanc = stack.enter_context(running_orthanc(folder / "orthanc"))
        hospital = Hospital(folder, orthanc, **settings)
        stack.enter_context(hospital.postgres)
        stack.enter_context(hospital.redis)
        stack.enter_context(hospital.record)
        stack.callback(hospital.stop)
        upgrade(hospital.postgres.url, folder)
        yield hospital


def held_by(orthanc: Orthanc) -> Counter[str]:
    """SOP Instance UIDs at the PACS, how often each."""
    instances = orthanc.get("/instances?expand")
    return Counter(one["MainDicomTags"]["SOPInstanceUID"] for one in instances)
