"""Start and stop of a worker process: handlers of Celery's signals."""

import sys
from contextlib import suppress
from typing import Any

from celery import signals
from celery.concurrency import get_implementation

from common import health, supervised
from common.logging import configure_logging, get_logger
from common.metrics import DELIVERIES, SPOOL_FREE_BYTES
from common.settings.load import exit_on_oserror
from common.spool.disk_space import free_bytes_or_nan
from common.task_publisher import SCREENING_QUEUE, TaskPublisher
from db.audit import note_activity
from db.migrate import SchemaNotCurrent, database_probe
from worker.audit_sender import AuditSender
from worker.context import WorkerContext
from worker.delivery.send import send
from worker.models.demonstration import demonstration_problem
from worker.shutdown_deadline import ShutdownDeadline
from worker.sweep import Sweeper

log = get_logger(__name__)


class WorkerLifecycle:
    """Prepares the process before its first task, and runs the sweeper.

    Celery logs an exception of a signal handler and goes on; SystemExit ends the process.
    """

    def __init__(
        self, context: WorkerContext, publisher: TaskPublisher, sweeper: Sweeper
    ) -> None:
        self._context = context
        self._publisher = publisher
        self._sweeper = sweeper
        self._deadline = ShutdownDeadline(context)
        self._audit = AuditSender(context.settings, context.sessions)

    def connect(self) -> None:
        """Connect the handlers; the signals keep this object alive."""
        signals.setup_logging.connect(self._configure_logging, weak=False)
        signals.worker_init.connect(self._prepare, weak=False)
        signals.worker_process_init.connect(self._prepare_child, weak=False)
        signals.worker_ready.connect(self._start_sweeper, weak=False)
        signals.worker_shutting_down.connect(self._limit_shutdown, weak=False)
        signals.worker_shutdown.connect(self._stop_sweeper, weak=False)

    def _configure_logging(self, loglevel: int, **_: Any) -> None:
        configure_logging(self._context.settings.log_format, level=loglevel)

    def _prepare(self, sender: Any, **_: Any) -> None:
        """Wait for the database, load the models, prepare the spool, serve the probes."""
        self._deadline.start()
        try:
            self._context.wait_for_database()
        except SchemaNotCurrent as error:
            _exit(str(error))
        if get_implementation(sender.pool_cls) is not get_implementation("prefork"):
            self._load_models()  # TensorFlow does not survive a fork
        with suppress(supervised.ChildEnded, OSError):  # the first delivery tries again
            supervised.prepare(send.__module__)
        settings = self._context.settings
        with exit_on_oserror("SPOOL_DIR", settings.spool_dir):
            self._context.spool.prepare()
        SPOOL_FREE_BYTES.set_function(lambda: free_bytes_or_nan(settings.spool_dir))
        for destination in settings.destinations:
            # From 0: a counter that begins at 1 has not increased for Prometheus.
            DELIVERIES.labels(destination.name, "refused")
            DELIVERIES.labels(destination.name, "unreachable")
        with exit_on_oserror("HEALTH_PORT", settings.health_port):
            health.serve(settings.health_port, self._probes(), None)
        with exit_on_oserror("METRICS_PORT", settings.metrics_port):
            health.serve(settings.metrics_port, self._probes())

    def _probes(self) -> list[health.Probe]:
        return [
            self._sweeper.rounds.probe(),
            database_probe(self._context.engine, vital=True),
            health.spool_probe(self._context.spool),
            health.Probe("model", self._context.model_problem),
            health.Probe("broker", self._probe_broker),
        ]

    def _probe_broker(self) -> None:
        self._publisher.queue_length(SCREENING_QUEUE)

    def _prepare_child(self, **_: Any) -> None:
        self._context.engine.dispose(close=False)  # the connections belong to the parent
        self._load_models()

    def _start_sweeper(self, **_: Any) -> None:
        note_activity(self._context.sessions, "start", "worker")
        self._sweeper.start()
        self._audit.start()

    def _limit_shutdown(self, **_: Any) -> None:
        self._deadline.request()

    def _stop_sweeper(self, **_: Any) -> None:
        self._sweeper.stop()
        note_activity(self._context.sessions, "stop", "worker")
        self._audit.stop()

    def _load_models(self) -> None:
        if self._context.settings.model_dir is None:
            self._context.load_model()
            log.info("measurement_only", reason="OSTEOSCREEN_MODEL_DIR is none")
            return
        from worker.pipeline.model.package import ModelError  # TensorFlow: seconds

        try:
            model = self._context.load_model()
            self._context.load_candidate()
        except ModelError as error:
            _exit(str(error))
        problem = model and demonstration_problem(self._context.settings, model.info)
        if problem:
            _exit(problem)


def _exit(reason: str) -> None:
    print(reason, file=sys.stderr)
    raise SystemExit(2)
