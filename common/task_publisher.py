"""Queues and task names, and the publisher that sends tasks without importing them.

The database is the queue: a task message only announces work that is due there. A message that
is lost is sent again by the workers' sweep.
"""

from typing import Self

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from common.logging import get_logger

SCREENING_QUEUE = "screening"
DELIVERY_QUEUE = "delivery"

SCREEN_TASK = "worker.tasks.screen"
"""Argument: the database id of the series."""
SCREEN_STUDY_TASK = "worker.tasks.screen_study"
"""Argument: the database id of the study."""
DELIVER_TASK = "worker.tasks.deliver"
"""Arguments: the database id of the screening, the name of the destination."""

SOCKET_TIMEOUT_SECONDS = 2.0

log = get_logger(__name__)


class TaskPublisher:
    """Sends tasks to the broker; logs a warning when the broker does not answer."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    @classmethod
    def from_url(cls, broker_url: str) -> Self:
        """Return a publisher with a Celery app of its own and short socket timeouts."""
        app = Celery("publisher", broker=broker_url, set_as_current=False)
        app.conf.update(
            task_ignore_result=True,
            broker_connection_timeout=SOCKET_TIMEOUT_SECONDS,
            broker_transport_options={
                "socket_timeout": SOCKET_TIMEOUT_SECONDS,
                "socket_connect_timeout": SOCKET_TIMEOUT_SECONDS,
            },
        )
        return cls(app)

    def screen(self, series_id: int) -> bool:
        """Request the screening of a series; return False if the broker does not answer."""
        return self._send(SCREEN_TASK, SCREENING_QUEUE, series_id=series_id)

    def screen_study(self, study_id: int) -> bool:
        """Request the screening of a study."""
        return self._send(SCREEN_STUDY_TASK, SCREENING_QUEUE, study_id=study_id)

    def deliver(self, screening_id: int, destination: str) -> bool:
        """Request the delivery of a screening's objects to one destination."""
        return self._send(
            DELIVER_TASK, DELIVERY_QUEUE, screening_id=screening_id, destination=destination
        )

    def queue_length(self, queue: str) -> int:
        """Return the number of messages in a queue that no worker has taken."""
        with self._app.connection_for_write() as connection:
            try:
                declared = connection.default_channel.queue_declare(queue, passive=True)
            except connection.channel_errors:
                return 0  # Redis deletes a list when it becomes empty.
            return int(declared.message_count)

    def close(self) -> None:
        """Close the connections to the broker."""
        self._app.close()

    def _send(self, task: str, queue: str, **arguments: int | str) -> bool:
        try:
            self._app.send_task(task, args=list(arguments.values()), queue=queue, retry=False)
        except (OperationalError, RedisError, OSError) as error:
            log.warning("publish_failed", task=task, **arguments, error=type(error).__name__)
            return False
        return True
