"""Factory of the Celery app.

The database is the queue. A message only announces work, so a lost or repeated message (also
FLUSHALL) changes nothing but the time at which the work is found.
"""

from celery import Celery
from kombu import Exchange, Queue

from common.settings.worker import WorkerSettings
from common.task_publisher import (
    DELIVER_TASK,
    DELIVERY_QUEUE,
    SCREEN_STUDY_TASK,
    SCREEN_TASK,
    SCREENING_QUEUE,
    TaskPublisher,
)
from worker.broker import use_tolerant_transport
from worker.context import WorkerContext
from worker.lifecycle import WorkerLifecycle
from worker.sweep import Sweeper
from worker.tasks import register_tasks


def make_app(settings: WorkerSettings) -> Celery:
    """Return the Celery app of a worker, with its tasks and signal handlers."""
    use_tolerant_transport()
    app = Celery("worker", broker=settings.broker_url)
    _configure(app, settings)
    context = WorkerContext(settings)
    publisher = TaskPublisher(app)
    register_tasks(app, context, publisher)
    WorkerLifecycle(context, publisher, Sweeper(context, publisher)).connect()
    return app


def _configure(app: Celery, settings: WorkerSettings) -> None:
    app.conf.update(
        # Both queues unless -Q says otherwise; a task for any other queue is an error.
        task_queues=(_queue(SCREENING_QUEUE), _queue(DELIVERY_QUEUE)),
        task_default_queue=SCREENING_QUEUE,
        task_create_missing_queues=False,
        task_routes={
            SCREEN_TASK: {"queue": SCREENING_QUEUE},
            SCREEN_STUDY_TASK: {"queue": SCREENING_QUEUE},
            DELIVER_TASK: {"queue": DELIVERY_QUEUE},
        },
        # One process, one model: the threads share it, and TensorFlow releases the GIL.
        worker_pool="threads",
        # One screening computes while another reads its files or waits for a PACS.
        worker_concurrency=2,
        # Only a free thread takes a message, so that other workers get the rest.
        worker_prefetch_multiplier=1,
        # A message is acknowledged after its work, not before; with the prefork pool also when
        # the child process died. The lease keeps a second copy from doing anything.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        broker_transport_options=_transport_options(settings),
        # A worker that starts before its broker waits for it.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # Retries, results and schedules are kept in the database, not by Celery.
        task_ignore_result=True,
        task_publish_retry=False,
        # Nothing that could be executed is read from the broker.
        accept_content=["json"],
        task_serializer="json",
        # A client of the broker could otherwise end the workers or read their settings.
        worker_enable_remote_control=False,
        # Both would print task arguments to a log in another format.
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        enable_utc=True,
    )


def _transport_options(settings: WorkerSettings) -> dict[str, object]:
    return {
        # Redis redelivers a message that was not acknowledged within this time. It is longer
        # than a task may take, so that a running one is not disturbed; the sweep finds the
        # work of a dead worker much sooner.
        "visibility_timeout": max(settings.limit_seconds, settings.delivery_limit_seconds) + 60,
        "socket_connect_timeout": 5,
        # Limits the wait for a broker that hangs; longer than kombu's poll of 10 s.
        "socket_timeout": 15,
        "socket_keepalive": True,
    }


def _queue(name: str) -> Queue:
    return Queue(name, Exchange(name), routing_key=name)
