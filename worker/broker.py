"""The Redis transport of the worker, which skips a malformed message.

kombu lets errors of decoding reach the consumer of Celery, which ends the process. A message is
gone by then, and the next worker meets the next one. A skipped message loses nothing: the
database is the queue, and the sweep publishes what is due.
"""

from collections.abc import Callable
from queue import Empty
from typing import Any

from kombu.exceptions import InconsistencyError
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from redis.exceptions import RedisError

from common.logging import get_logger
from common.metrics import SKIPPED_MESSAGES

TRANSPORT = f"{__name__}:Transport"
CONNECTION_ERRORS = (OSError, RedisError, InconsistencyError)
"""Celery then connects again. kombu adds KeyError, which a malformed message causes."""

log = get_logger(__name__)


def use_tolerant_transport() -> None:
    """Make ``redis://`` and ``rediss://`` broker URLs use ``Transport`` in this process."""
    TRANSPORT_ALIASES.update(redis=TRANSPORT, rediss=TRANSPORT)


class Channel(kombu_redis.Channel):  # type: ignore[misc] # kombu is untyped
    """A channel that skips messages that are not JSON."""

    def _brpop_read(self, **options: Any) -> Any:
        return self._skip_malformed(lambda: super(Channel, self)._brpop_read(**options))

    def _get(self, queue: str) -> Any:
        return self._skip_malformed(lambda: super(Channel, self)._get(queue))

    def _skip_malformed(self, read: Callable[[], Any]) -> Any:
        """Read a message; raise Empty, as without one, if it cannot be decoded."""
        try:
            return read()
        except (Empty, *CONNECTION_ERRORS):
            raise
        except Exception as error:
            skipped(error)
            raise Empty from None


class Transport(kombu_redis.Transport):  # type: ignore[misc] # kombu is untyped
    """A transport that skips JSON that is not a message of Celery."""

    Channel = Channel

    def _deliver(self, message: Any, queue: str) -> None:
        try:
            super()._deliver(message, queue)
        except CONNECTION_ERRORS:
            raise
        except Exception as error:
            skipped(error)
            self._discard(message)

    def _discard(self, message: Any) -> None:
        """Reject a message that may count as taken: it would keep a place of the worker."""
        properties = message.get("properties") if isinstance(message, dict) else None
        tag = properties.get("delivery_tag") if isinstance(properties, dict) else None
        for channel in self.channels:
            if isinstance(tag, str) and tag in channel.qos._delivered:
                channel.basic_reject(tag, requeue=False)


def skipped(error: Exception) -> None:
    """Count and log a message, without its content."""
    SKIPPED_MESSAGES.inc()
    log.warning("message_skipped", error=type(error).__name__)
