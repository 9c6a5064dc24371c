"""The Celery app, as ``celery -A worker worker`` finds it: an entry, so settings are read here.

The record in PostgreSQL is the queue. A message only says that it is worth a look, so losing
all of them (FLUSHALL), or getting one twice, changes nothing but the time of the look.
"""

import sys
from typing import Any

from celery import Celery, signals
from celery.concurrency import get_implementation
from kombu import Exchange, Queue

from db import health
from db.migrate import SchemaNotCurrent
from db.queue import DELIVER_TASK, DELIVERY_QUEUE, SCREEN_TASK, SCREENING_QUEUE
from db.settings import blame, load_settings
from db.telemetry import configure_logging
from worker.nudge import Nudges
from worker.settings import WorkerSettings
from worker.sweep import Sweeper
from worker.workshop import Workshop

settings = load_settings(WorkerSettings)
workshop = Workshop(settings)

app = Celery("worker", broker=settings.broker_url, include=["worker.tasks"])
app.conf.update(
    # Both queues unless -Q says otherwise; a task sent elsewhere is a mistake.
    task_queues=tuple(
        Queue(name, Exchange(name), routing_key=name)
        for name in (SCREENING_QUEUE, DELIVERY_QUEUE)
    ),
    task_default_queue=SCREENING_QUEUE,
    task_create_missing_queues=False,
    task_routes={
        SCREEN_TASK: {"queue": SCREENING_QUEUE},
        DELIVER_TASK: {"queue": DELIVERY_QUEUE},
    },
    # One process, one model: threads share it, and TensorFlow computes outside of the GIL.
    worker_pool="threads",
    # One screening computes while another reads its files, or a PACS takes its time.
    worker_concurrency=2,
    # A message is taken only by a free thread, so that another worker may have it.
    worker_prefetch_multiplier=1,
    # A message is gone when its work is done, not when it begins; with the prefork pool also
    # when the child process died. The lease keeps a second copy from doing anything.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # Redis gives a message that was not acknowledged to somebody else after so long. Longer
    # than a screening may take: a living worker is not disturbed. The sweep comes much sooner.
    broker_transport_options={
        "visibility_timeout": settings.limit_seconds + 60,
        "socket_connect_timeout": 5,
        # A broker that hangs is like one that is away; longer than kombu's poll of 10 s.
        "socket_timeout": 15,
        "socket_keepalive": True,
    },
    # A worker that starts before its broker waits for it.
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # Retries, results and schedules are the database's: Celery keeps none of them.
    task_ignore_result=True,
    task_publish_retry=False,
    # Nothing that could be executed is read from the broker.
    accept_content=["json"],
    task_serializer="json",
    # Both would print arguments of tasks to a log that we do not format.
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    enable_utc=True,
)

nudges = Nudges(app)
sweeper = Sweeper(workshop, nudges)


@signals.setup_logging.connect  # type: ignore[untyped-decorator]
def _set_up_logging(loglevel: int, **_: Any) -> None:
    configure_logging(settings.log_format, level=loglevel)


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def _prepare(sender: Any, **_: Any) -> None:
    """Before the first message: database, spool and, unless children are forked, the model."""
    try:
        workshop.wait_for_database()
    except SchemaNotCurrent as error:
        _exit(str(error))
    if get_implementation(sender.pool_cls) is not get_implementation("prefork"):
        _load_models()  # TensorFlow does not survive a fork
    # Celery logs what a signal's receiver raises, and goes on; SystemExit it lets through.
    with blame("SPOOL_DIR", settings.spool_dir):
        workshop.spool.prepare()
    with blame("METRICS_PORT", settings.metrics_port):
        health.serve(
            settings.metrics_port,
            [
                sweeper.rounds.probe(),
                health.database_probe(workshop.engine, vital=True),
                health.spool_probe(workshop.spool),
                health.Probe("model", workshop.ask_model),
                health.Probe("broker", _ask_broker),
            ],
        )


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]
def _prepare_child(**_: Any) -> None:
    workshop.engine.dispose(close=False)  # connections are the parent's
    _load_models()


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _start_sweeper(**_: Any) -> None:
    sweeper.start()


@signals.worker_shutdown.connect  # type: ignore[untyped-decorator]
def _stop_sweeper(**_: Any) -> None:
    sweeper.stop()


def _ask_broker() -> None:
    nudges.waiting(SCREENING_QUEUE)


def _load_models() -> None:
    from worker.package import ModelError

    try:
        workshop.load_model()
        workshop.load_candidate()
    except ModelError as error:
        _exit(str(error))


def _exit(reason: str) -> None:
    print(reason, file=sys.stderr)
    raise SystemExit(2)
