"""Limits of the connections of an HTTP port, with real connections from loopback addresses."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from common.http_server import LimitedListener

LIMIT, LIMIT_PER_PEER = 8, 4


@pytest.fixture
def connections() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_some_peers_leave_places_to_others(connections: ExitStack) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    listener = connections.enter_context(
        LimitedListener(listening, limit=LIMIT, limit_per_peer=LIMIT_PER_PEER)
    )

    def is_accepted(peer: str) -> bool:
        source = (peer, 0)
        client = socket.create_connection(("127.0.0.1", port), 10, source_address=source)
        connections.enter_context(client)
        try:
            connections.enter_context(listener.accept()[0])
        except ConnectionAbortedError:
            return False
        return True

    assert [is_accepted("127.0.0.2") for _ in range(5)] == [True] * 4 + [False]
    assert [is_accepted("127.0.0.3") for _ in range(3)] == [True] * 2 + [False]
    assert [is_accepted("127.0.0.4") for _ in range(2)] == [True, False]
    assert is_accepted("127.0.0.5")
    assert not is_accepted("127.0.0.6")
