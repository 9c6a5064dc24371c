"""Which connection is closed when there are too many."""

from common.connection_limits import oldest_of_busiest


def test_the_oldest_connection_of_the_address_with_the_most_is_closed() -> None:
    waiting = {"a": "10.0.0.1", "b": "10.0.0.9", "c": "10.0.0.9", "d": "10.0.0.2"}

    assert oldest_of_busiest(waiting) == "b"


def test_there_may_be_no_connection_to_close() -> None:
    assert oldest_of_busiest({}) is None
