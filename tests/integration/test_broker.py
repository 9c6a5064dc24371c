"""Covered: messages in Redis that are not messages of Celery: skipped, counted, and gone."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import kombu.transport
import pytest
import redis
from kombu import Connection, Consumer, Queue
from kombu.transport import TRANSPORT_ALIASES

from common.metrics import REGISTRY
from worker.broker import use_tolerant_transport

pytestmark = pytest.mark.servers
QUEUE = "screening"


@pytest.fixture
def connection(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    for scheme in ("redis", "rediss"):
        monkeypatch.setitem(TRANSPORT_ALIASES, scheme, TRANSPORT_ALIASES[scheme])
    # kombu remembers the class of a scheme: another test of this process may have connected.
    monkeypatch.setattr(kombu.transport, "_transport_cache", {})
    use_tolerant_transport()
    with Connection(redis_url, transport_options={"socket_timeout": 15}) as opened:
        yield opened


def skipped_count() -> float:
    return REGISTRY.get_sample_value("osteoscreen_skipped_messages_total") or 0.0


def message(**changes: object) -> dict[str, object]:
    properties = {
        "delivery_tag": "tag",
        "delivery_info": {"exchange": QUEUE, "routing_key": QUEUE},
        "delivery_mode": 2,
        "body_encoding": "base64",
    }
    whole: dict[str, object] = {
        "body": base64.b64encode(b"[[1], {}, {}]").decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": "good", "id": "1"},
        "properties": properties,
    }
    return whole | changes


MALFORMED = {
    "no UTF-8": b"\xff\xfe not json",
    "no JSON": b"not json",
    "empty": b"",
    "deeply nested": b"[" * 100_000,
    "unknown type": json.dumps({"__type__": "datetime", "__value__": "x"}).encode(),
    "number": b"1",
    "null": b"null",
    "list": b"[]",
    "empty object": b"{}",
    "properties that are text": json.dumps(message(properties="text")).encode(),
    "no tag": json.dumps(message(properties={"delivery_info": {}})).encode(),
    "body that is a number": json.dumps(message(body=5)).encode(),
    "task that is a list": json.dumps(message(headers={"task": [1], "id": "2"})).encode(),
}


@pytest.mark.parametrize("case", MALFORMED)
@pytest.mark.covers("T9")
def test_a_malformed_message_is_skipped_counted_and_followed_by_the_next(
    case: str, connection: Connection, redis_url: str
) -> None:
    received: list[str] = []
    strategies = {"good": received.append}

    def take(taken: Any) -> None:
        strategies[taken.headers["task"]](taken.headers["task"])  # as Celery's consumer does
        taken.ack()

    before = skipped_count()
    good = json.dumps(message()).replace('"tag"', '"good-tag"')
    with redis.Redis.from_url(redis_url) as client:
        client.lpush(QUEUE, MALFORMED[case])
        client.lpush(QUEUE, good)
        with Consumer(connection, [Queue(QUEUE)], on_message=take, prefetch_count=1):
            while not received:
                connection.drain_events(timeout=30)

        assert (received, skipped_count() - before) == (["good"], 1)
        assert client.hlen("unacked") == 0
