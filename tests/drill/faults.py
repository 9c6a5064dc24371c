"""Faults of the drill: each breaks a running system, and mends it as the pages say."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.certificates import Authority
from tests.support.quick_series import QuickSeries
from tests.support.system_under_test import SystemUnderTest


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
    expired = Authority(drill.folder / "ca").issue("expired", days="-1")
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
)  # fmt: skip
