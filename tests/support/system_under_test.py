"""The whole system as real processes that can be killed and restarted."""

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from common.spool.layout import SeriesKey
from common.task_publisher import TaskPublisher
from db.history import SeriesHistory
from db.states import SeriesState
from deploy.demo.embedded import Postgres, Valkey, free_port
from deploy.demo.processes import CELERY, STORESCP, Process
from tests.support.ct_factory import PATIENT_BIRTH_DATE, PATIENT_ID, PATIENT_NAME
from tests.support.databases import create_service_roles, service_url, upgrade
from tests.support.forked_process import ForkedProcess
from tests.support.history import Record
from tests.support.invariants import FINAL, GOOD, Acknowledged, Violation, violations
from tests.support.servers import (
    Orthanc,
    child_environment,
    running_orthanc,
    storescu,
    wait_for,
    wait_until_listening,
)
from tests.support.services import wait_until_ready

TIMEOUT_SECONDS = 240.0  # for a machine with other load
SECRETS = (*PATIENT_NAME.split("^"), PATIENT_ID, PATIENT_BIRTH_DATE)
SENT = re.compile(r"Sending file: (.+)\n(?:(?!.*Sending file).*\n)*?.*Response \(Success\)")


class SystemUnderTest:
    """Storage SCP, worker, PostgreSQL, Redis, a PACS, and the acknowledged instances."""

    def __init__(self, folder: Path, orthanc: Orthanc, **settings: object) -> None:
        self.folder = folder
        self.orthanc = orthanc
        self.postgres, self.redis = Postgres(), Valkey(durable=True)
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
        self.worker = self._process(CELERY, "worker", ForkedProcess)
        self.record = Record(self.postgres.url)

    @property
    def spool_dir(self) -> Path:
        return Path(str(self.settings["SPOOL_DIR"]))

    @property
    def port(self) -> int:
        return int(str(self.settings["PORT"]))

    @property
    def logs(self) -> str:
        """Output of the SCP and the workers."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def start_scp(self, **environment: str) -> None:
        """Start the Storage SCP and wait until it listens."""
        self.scp.environment = self._environment("storescp") | environment
        self.scp.start()
        wait_until_listening(self.scp, self.port)

    def start_worker(self, *options: str, wait: bool = True, **environment: str) -> None:
        """Start the worker and, by default, wait until it is ready."""
        self.worker.command = (*CELERY, *options)
        self.worker.environment = self._environment("worker") | environment
        ready = self.worker.log.count(" ready.")
        self.worker.start()
        if wait:
            wait_until_ready(self.worker, ready + 1)

    def another_worker(self, number: int = 2) -> Process:
        """Return another worker like the first; the caller starts and stops it."""
        another = self._process(self.worker.command, f"worker{number}", ForkedProcess)
        another.environment = dict(self.worker.environment)
        return another

    def send(self, paths: Sequence[Path]) -> bool:
        """Send in one association, note the acknowledged files; return whether all were."""
        sent = storescu(paths, self.port, options=["-v", "-R"])
        stored = [Path(path) for path in SENT.findall(sent.stdout + sent.stderr)]
        self.acknowledged.add(stored)
        return sent.returncode == 0 and len(stored) == len(paths)

    def send_all(self, paths: Sequence[Path]) -> None:
        """Repeat sending, as modalities do, until all files are acknowledged."""
        wait_for(lambda: self.send(paths), "the series to be acknowledged", TIMEOUT_SECONDS)

    def unfinished(self) -> list[SeriesKey]:
        """Return acknowledged series that have not ended with all of their instances."""
        queue_status = self.record.queue_status()
        return [
            key
            for key, count in self.acknowledged.counts().items()
            if key not in queue_status
            or queue_status[key][0] not in FINAL
            or queue_status[key][1] < count
        ]

    def wait_until_all_ended(self, seconds: float = TIMEOUT_SECONDS) -> None:
        wait_for(lambda: not self.unfinished(), "all series to end", seconds)

    def violations(self, good: frozenset[SeriesState] = GOOD) -> list[Violation]:
        """Return the violated invariants; all series must have ended."""
        names = [str(one["name"]) for one in self.settings["DESTINATIONS"]]  # type: ignore[attr-defined]
        keys = self.acknowledged.series
        histories = {key: self.record.find(key.series_instance_uid) for key in keys}
        mine = {
            sent.result_object.sop_instance_uid
            for history in histories.values()
            for sent in (history.deliveries if history else ())
        }
        # Objects of an earlier test that it did not wait for may still arrive.
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
        self, seconds: float = TIMEOUT_SECONDS, good: frozenset[SeriesState] = GOOD
    ) -> list[SeriesHistory]:
        """Wait until all series have ended and assert the invariants; return the histories.

        No log may name a patient.
        """
        self.wait_until_all_ended(seconds)
        found = [one.text for one in self.violations(good)]
        found += [f"a log contains {secret}" for secret in SECRETS if secret in self.logs]
        assert not found, "\n".join(found)
        return [self.history(key) for key in self.acknowledged.series]

    def history(self, key: SeriesKey) -> SeriesHistory:
        return self.record.history(key.series_instance_uid)

    def found(self, key: SeriesKey) -> bool:
        """Return whether the series is on record."""
        return self.record.find(key.series_instance_uid) is not None

    def publish(self, series_id: int) -> None:
        """Send one more screening task."""
        publisher = TaskPublisher.from_url(self.redis.url)
        publisher.screen(series_id)
        publisher.close()

    def retry(self, key: SeriesKey) -> None:
        """Run ``python -m worker retry``."""
        command = (sys.executable, "-m", "worker", "retry", key.series_instance_uid)
        process = self._process(command, "retry")
        process.environment = self._environment("worker")
        with process:
            assert process.wait(60) == 0, process.log

    def reset(self) -> None:
        """Empty the PACS and forget the acknowledged instances, before the next test."""
        self.orthanc.clear()
        self.acknowledged = Acknowledged()

    def stop(self) -> None:
        """Stop the worker, then the SCP."""
        for process in (self.worker, self.scp):
            process.stop()

    def _environment(self, service: str) -> dict[str, str]:
        """Return the environment of a service, whose user has its rights only."""
        url = service_url(str(self.settings["DATABASE_URL"]), service)
        return child_environment(self.settings | {"DATABASE_URL": url})

    def _process(
        self, command: tuple[str, ...], name: str, kind: type[Process] = Process
    ) -> Process:
        cwd = self.folder / "cwd"  # not the repository, which may contain a .env file
        cwd.mkdir(parents=True, exist_ok=True)
        return kind(command, environment={}, log_path=self.folder / f"{name}.log", cwd=cwd)


@contextmanager
def running_system(folder: Path, **settings: object) -> Iterator[SystemUnderTest]:
    """Start the servers and the PACS and create the tables; SCP and worker are not started."""
    with ExitStack() as stack:
        orthanc = stack.enter_context(running_orthanc(folder / "orthanc"))
        system = SystemUnderTest(folder, orthanc, **settings)
        stack.enter_context(system.postgres)
        stack.enter_context(system.redis)
        stack.enter_context(system.record)
        stack.callback(system.stop)
        upgrade(system.postgres.url, folder)
        create_service_roles(system.postgres.url)
        yield system


def held_by(orthanc: Orthanc) -> Counter[str]:
    """Return the number of instances of each SOP Instance UID at the PACS."""
    instances = orthanc.get("/instances?expand")
    return Counter(one["MainDicomTags"]["SOPInstanceUID"] for one in instances)
