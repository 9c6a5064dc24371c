"""Nudge the workers: a task by name, after the commit. The database is the queue's truth."""

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from db.queue import SCREEN_TASK, SCREENING_QUEUE
from db.telemetry import get_logger

SOCKET_TIMEOUT_SECONDS = 2.0

log = get_logger(__name__)


class Publisher:
    """Sends to the broker, and does not insist: the workers' sweep finds what was missed."""

    def __init__(self, broker_url: str) -> None:
        self._client = Celery("storescp", broker=broker_url, set_as_current=False)
        self._client.conf.update(
            task_ignore_result=True,
            broker_connection_timeout=SOCKET_TIMEOUT_SECONDS,
            broker_transport_options={
                "socket_timeout": SOCKET_TIMEOUT_SECONDS,
                "socket_connect_timeout": SOCKET_TIMEOUT_SECONDS,
            },
        )

    def screen(self, series_id: int) -> bool:
        """Ask for the screening of a series; False when the broker does not answer."""
        try:
            self._client.send_task(
                SCREEN_TASK, args=[series_id], queue=SCREENING_QUEUE, retry=False
            )
        except (OperationalError, RedisError, OSError) as error:
            log.warning("publish_failed", series_id=series_id, error=type(error).__name__)
            return False
        return True

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()
