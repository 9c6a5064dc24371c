"""Limits of connections without an association: of an address, of all, of unlisted ones."""

from storescp.processes.waiting_connections import (
    MAX_UNLISTED,
    MAX_WAITING,
    WaitingConnections,
)

FLOOD = [f"10.0.0.{number}" for number in range(8)]


def waiting(limit: int = 40, listed: bool = True) -> WaitingConnections:
    return WaitingConnections(
        limit_per_address=limit, may_send=lambda address: listed or address == "10.1.0.1"
    )


def test_an_address_has_its_limit_and_gets_a_place_back() -> None:
    connections = waiting(limit=3)

    assert [connections.admit("10.0.0.1") for _ in range(4)] == [True] * 3 + [False]
    connections.settle("10.0.0.1")
    assert connections.admit("10.0.0.1")
    for _ in range(5):
        connections.settle("10.0.0.1")
    assert connections.count() == 0


def test_eight_addresses_leave_places_to_a_ninth() -> None:
    connections = waiting()

    admitted = [connections.admit(one) for _ in range(100) for one in FLOOD]

    assert sum(admitted) == connections.count() == MAX_WAITING
    assert [connections.admit("10.1.0.1") for _ in range(8)] == [True] * 7 + [False]


def test_addresses_that_are_not_listed_share_few_places() -> None:
    connections = waiting(listed=False)

    assert sum(connections.admit(one) for _ in range(5) for one in FLOOD) == MAX_UNLISTED
    assert all(connections.admit("10.1.0.1") for _ in range(20))
    connections.settle(FLOOD[0])
    assert [connections.admit(FLOOD[0]) for _ in range(2)] == [True, False]
