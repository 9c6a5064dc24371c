"""Messages to the workers. Each is only a nudge: the database says what is due."""

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from db.queue import DELIVER_TASK, DELIVERY_QUEUE, SCREEN_TASK, SCREENING_QUEUE
from db.telemetry import get_logger

log = get_logger(__name__)


class Nudges:
    """Sends through one Celery app; a broker that is away is logged, the sweep comes again."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def screen(self, series_id: int) -> None:
        """Ask for the screening of a series."""
        self._send(SCREEN_TASK, SCREENING_QUEUE, series_id)

    def deliver(self, screening_id: int, destination: str) -> None:
        """Ask for the delivery of a screening's objects to one destination."""
        self._send(DELIVER_TASK, DELIVERY_QUEUE, screening_id, destination)

    def waiting(self, queue: str) -> int:
        """Messages that no worker has taken yet."""
        with self._app.connection_for_write() as connection:
            try:
                declared = connection.default_channel.queue_declare(queue, passive=True)
            except connection.channel_errors:
                return 0  # Redis has no empty lists: no messages, no queue
            return int(declared.message_count)

    def _send(self, task: str, queue: str, *arguments: int | str) -> None:
        try:
            self._app.send_task(task, args=arguments, queue=queue, retry=False)
        except (OperationalError, RedisError, OSError) as error:
            log.warning("publish_failed", task=task, error=type(error).__name__)
