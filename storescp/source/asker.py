"""The threads that ask the source PACS about arriving series, and fetch what is missing.

Nobody waits for them: associations and the registrar only look at what ``Arrivals`` has been
told. A PACS that does not answer is left alone for a while, and the quiet period rules.
"""

import random
import threading
import time

from db.backoff import backoff
from db.spool import INSTANCE_SUFFIX, list_instances
from db.telemetry import SOURCE_PACS, get_logger
from peers.address import DimsePeer
from storescp.operation import Intake
from storescp.registration.arrivals import Arrivals, Question
from storescp.settings import StoreScpSettings
from storescp.source.census import ASK_AFTER
from storescp.source.dicomweb import DicomwebSource
from storescp.source.dimse import DimseSource
from storescp.source.pacs import Source, SourceUnavailable

THREADS = 2  # one fetch, which may be long, does not hold up all counts
MAX_TICK_SECONDS = 0.25
RETRY_BASE_SECONDS = 1.0
RETRY_CAP_SECONDS = 60.0
STOP_SECONDS = 1.0

log = get_logger(__name__)


def make_asker(
    settings: StoreScpSettings, intake: Intake, arrivals: Arrivals
) -> "Asker | None":
    """None where no source PACS is set."""
    peer = settings.source_pacs
    if peer is None:
        return None
    if isinstance(peer, DimsePeer):
        source: Source = DimseSource(peer, ae_title=settings.ae_title, tls=settings.tls)
    else:
        source = DicomwebSource(peer, tls=settings.tls, intake=intake)
    return Asker(source, arrivals, settings)


class Asker:
    """Asks for the series that ``Arrivals`` finds due."""

    def __init__(self, source: Source, arrivals: Arrivals, settings: StoreScpSettings) -> None:
        self._source = source
        self._arrivals = arrivals
        self._settings = settings
        self._stopped = threading.Event()
        self._failures = 0
        self._retry_at = 0.0
        self._threads = [
            threading.Thread(target=self._run, name=f"asker {number}", daemon=True)
            for number in range(THREADS)
        ]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask no more; an answer that is still waited for is not waited for."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(STOP_SECONDS)

    def ask_one(self, now: float) -> bool:
        """Ask what is due at ``now``; False when nothing is, or the PACS is left alone."""
        if now < self._retry_at:
            return False
        question = self._arrivals.next_question(
            now=now, quiet_seconds=self._settings.quiet_seconds
        )
        if question is None:
            return False
        try:
            self._ask(question)
        except SourceUnavailable as error:
            self._leave_alone(question, str(error))
        except Exception as error:
            # A process boundary: whatever a library makes of an answer it did not expect. Not
            # its text, which may repeat the answer.
            self._leave_alone(question, type(error).__name__)
        else:
            self._failures = 0
        return True

    def _run(self) -> None:
        tick = min(MAX_TICK_SECONDS, ASK_AFTER * self._settings.quiet_seconds)
        while not self._stopped.is_set():
            if not self.ask_one(time.monotonic()):
                self._stopped.wait(tick)

    def _ask(self, question: Question) -> None:
        expected, fetching = None, False
        held: frozenset[str] = frozenset()
        try:
            expected = self._source.count(question.key)
            held = self._held(question)
            fetching = question.may_fetch and expected > len(held)
        finally:
            self._arrivals.answer(question, expected, len(held), fetching=fetching)
        SOURCE_PACS.labels("counted").inc()
        if not fetching:
            return
        try:
            self._fetch(question, held)
        finally:
            self._arrivals.fetch_ended(question)

    def _fetch(self, question: Question, held: frozenset[str]) -> None:
        listed = self._source.instances(question.key)
        missing = sorted(listed - held)
        words = {
            "series_instance_uid": question.key.series_instance_uid,
            "correlation_id": question.correlation_id,
        }
        log.info("fetching_missing", missing=len(missing), held=len(held), **words)
        if missing:
            self._source.fetch(question.key, missing, of=len(listed))
        after = self._held(question)
        SOURCE_PACS.labels("fetched").inc()
        log.info("fetched_missing", arrived=len(after - held), held=len(after), **words)

    def _held(self, question: Question) -> frozenset[str]:
        paths = list_instances(self._settings.spool_dir, question.key)
        return frozenset(path.name.removesuffix(INSTANCE_SUFFIX) for path in paths)

    def _leave_alone(self, question: Question, reason: str) -> None:
        self._failures += 1
        pause = backoff(
            self._failures,
            base_seconds=RETRY_BASE_SECONDS,
            cap_seconds=RETRY_CAP_SECONDS,
            jitter=random.random(),  # noqa: S311 - not a secret
        )
        self._retry_at = time.monotonic() + pause.total_seconds()
        SOURCE_PACS.labels("unavailable").inc()
        log.warning(
            "source_pacs_unavailable",
            series_instance_uid=question.key.series_instance_uid,
            correlation_id=question.correlation_id,
            reason=reason,
            failures=self._failures,
        )
