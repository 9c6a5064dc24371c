"""Thread that kills one process of the system at a time and restarts it."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import redis

from deploy.demo.processes import Process
from tests.support.system_under_test import SystemUnderTest

DOWN_SECONDS = (0.0, 2.0)
WORK_SECONDS = 60.0  # between two kills of a worker: it imports TensorFlow for many seconds


@dataclass
class Chaos(threading.Thread):
    """Thread that kills one process at a time and restarts it."""

    system: SystemUnderTest
    workers: Sequence[Process]
    every_seconds: float
    rng: random.Random
    kills: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__(name="chaos", daemon=True)
        self._stopped = threading.Event()
        self._since = dict.fromkeys(self.workers, time.monotonic())
        self.error: Exception | None = None
        self._parts: dict[str, Callable[[], bool]] = {
            "scp": self._kill_scp,
            "worker": self._kill_worker,
            "redis": self._kill_redis,
            "redis without its data": self._empty_redis,
            "postgres": self._kill_postgres,
        }

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        try:
            while not self._stopped.wait(self.every_seconds * self.rng.uniform(0.5, 1.5)):
                name = self.rng.choice(list(self._parts))
                if self._parts[name]():
                    self.kills[name] += 1
        except Exception as error:
            self.error = error

    def stop(self) -> None:
        """Stop once all killed processes run again; raises the error of the thread."""
        self._stopped.set()
        self.join()
        if self.error is not None:
            raise self.error

    def _pause(self) -> None:
        time.sleep(self.rng.uniform(*DOWN_SECONDS))

    def _kill_scp(self) -> bool:
        self.system.scp.kill()
        self._pause()
        self.system.start_scp()
        return True

    def _kill_worker(self) -> bool:
        worker = self.rng.choice(self.workers)
        if time.monotonic() - self._since[worker] < WORK_SECONDS:
            return False
        worker.kill()
        self._pause()
        worker.start()
        self._since[worker] = time.monotonic()
        return True

    def _kill_redis(self) -> bool:
        self.system.redis.kill()
        self._pause()
        self.system.redis.start()
        return True

    def _empty_redis(self) -> bool:
        with redis.Redis.from_url(self.system.redis.url) as client:
            client.flushall()
        return self._kill_redis()

    def _kill_postgres(self) -> bool:
        self.system.postgres.kill()
        self._pause()
        self.system.postgres.start()
        return True
