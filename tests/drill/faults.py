"""Faults of the drill: each breaks a running system, and mends it as the pages say."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.certificates import EXPIRED, Authority
from tests.support.ct_factory import PATIENT_ID
from tests.support.databases import service_url
from tests.support.flood import flooded
from tests.support.quick_series import QuickSeries
from tests.support.servers import child_environment, storescu, wait_until_listening
from tests.support.system_under_test import SystemUnderTest

COMMAND_SECONDS = 120.0
MEGABYTE = 1024 * 1024


@dataclass
class Drill:
    """The system, and what an operator's command has in its environment."""

    system: SystemUnderTest
    quick: QuickSeries
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    sent: int = 0

    def new_folder(self) -> Path:
        """Return a folder for the files of one more series."""
        self.sent += 1
        return self.folder / f"sent{self.sent}"

    def operate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``python -m worker`` with these arguments, as an operator does."""
        url = service_url(str(self.system.settings["DATABASE_URL"]), "worker")
        environment = child_environment(self.system.settings | {"DATABASE_URL": url})
        return subprocess.run(
            [sys.executable, "-P", "-m", "worker", *arguments],
            env=environment | self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )


@dataclass(frozen=True)
class Fault:
    """``shown_by`` : the look that must show it; ``says`` : what it must say."""

    name: str
    shown_by: str
    says: str
    broken: Callable[[Drill], AbstractContextManager[None]]
    mended_by: str


@contextmanager
def expired_certificate(drill: Drill) -> Iterator[None]:
    expired = Authority(drill.folder / "ca").issue("expired", dates=EXPIRED)
    drill.environment |= {
        "OSTEOSCREEN_TLS_CERT": str(expired.cert),
        "OSTEOSCREEN_TLS_KEY": str(expired.key),
    }
    yield
    drill.environment.clear()


@contextmanager
def corrupt_model(drill: Drill) -> Iterator[None]:
    weights = Path(str(drill.system.settings["MODEL_DIR"])) / "weights.npz"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1000] + bytes(1000))
    yield
    weights.write_bytes(whole)


@contextmanager
def clock_off(drill: Drill) -> Iterator[None]:
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    drill.environment |= {
        "LD_PRELOAD": str(library),
        "FAKETIME": "+1h",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    yield
    drill.environment.clear()


@contextmanager
def lost_redis(drill: Drill) -> Iterator[None]:
    drill.system.redis.stop()
    yield
    drill.system.redis.start()


@contextmanager
def read_only_database(drill: Drill) -> Iterator[None]:
    name = str(drill.system.settings["DATABASE_URL"]).rpartition("/")[2]
    option = "default_transaction_read_only"
    drill.system.postgres.execute(f"ALTER DATABASE {name} SET {option} = on")
    yield
    drill.system.postgres.execute(f"ALTER DATABASE {name} RESET {option}")


@contextmanager
def bad_settings(drill: Drill) -> Iterator[None]:
    drill.environment["OSTEOSCREEN_RETENTION_DAYS"] = "a month"
    yield
    drill.environment.clear()


@contextmanager
def pacs_down(drill: Drill) -> Iterator[None]:
    pacs = drill.system.orthanc
    pacs.process.stop()
    drill.system.send_all(drill.quick.write(drill.new_folder()))
    yield
    pacs.process.start()
    wait_until_listening(pacs.process, pacs.dicom_port)
    drill.operate("retry", "--destination", "pacs")


@contextmanager
def wrong_ae_title(drill: Drill) -> Iterator[None]:
    paths = drill.quick.write(drill.new_folder())
    for _ in range(3):  # a modality tries again
        assert storescu(paths[:1], drill.system.port, calling="CT_99").returncode != 0
    yield
    drill.system.send_all(paths)


@contextmanager
def full_disk(drill: Drill) -> Iterator[None]:
    spool, paths = drill.system.spool_dir, drill.quick.write(drill.new_folder())
    found = os.statvfs(spool)
    free = found.f_bavail * found.f_frsize
    filler = spool / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - 50 * MEGABYTE)
    assert not drill.system.send(paths)
    yield
    filler.unlink()
    drill.system.send_all(paths)


@contextmanager
def stuck_worker(drill: Drill) -> Iterator[None]:
    worker = drill.system.worker
    os.kill(worker.pid, signal.SIGSTOP)
    drill.system.send_all(drill.quick.write(drill.new_folder()))
    yield
    worker.kill()
    worker.start()


@contextmanager
def changed_patient(drill: Drill) -> Iterator[None]:
    paths = drill.quick.write(drill.new_folder())
    drill.system.send_all(paths)
    drill.system.wait_until_all_ended()
    other = PATIENT_ID[::-1].encode()
    for path in paths:
        path.write_bytes(path.read_bytes().replace(PATIENT_ID.encode(), other))
    assert storescu(paths, drill.system.port, calling="SECOND").returncode == 0
    yield
    status = json.loads(drill.operate("status", "--json").stdout)
    (held,) = status["held"]
    drill.operate("refuse", held["series_uid"])


@contextmanager
def flood(drill: Drill) -> Iterator[None]:
    with flooded(drill.system.port):
        yield


FAULTS = (
    Fault(
        "expired certificate of osteoscreen", "doctor", "certificate: .*has expired",
        expired_certificate, "certificate replaced",
    ),
    Fault("corrupt model", "doctor", "model: .*", corrupt_model, "package installed again"),
    Fault("clock off by an hour", "doctor", "its clock is 3[56].. s behind", clock_off, "NTP"),
    Fault("lost Redis", "doctor", "broker: .*refused", lost_redis, "Redis started"),
    Fault(
        "database read-only", "doctor", "database: .*accepts no writes",
        read_only_database, "option reset",
    ),
    Fault(
        "bad settings", "doctor", "OSTEOSCREEN_RETENTION_DAYS: .*",
        bad_settings, "value corrected",
    ),
    Fault(
        "PACS down", "doctor", "destination pacs: .*connection is refused",
        pacs_down, "PACS started, `retry --destination`",
    ),
    Fault(
        "wrong AE title of a sender", "alerts", "SendersRejected .*calling_ae_title",
        wrong_ae_title, "title corrected, sent again",
    ),
    Fault(
        "full disk", "doctor", "spool: .*below OSTEOSCREEN_MIN_FREE_MB",
        full_disk, "space freed, sent again",
    ),
    Fault("stuck worker", "alerts", "NoWorker ", stuck_worker, "killed and started"),
    Fault(
        "changed patient from another sender", "doctor",
        "changed content: images held, which another sender changed",
        changed_patient, "`refuse UID`",
    ),
    Fault("flood of connections", "alerts", "ConnectionsRefused ", flood, "machine stopped"),
)  # fmt: skip
