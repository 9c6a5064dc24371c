"""Covered: the bounds of the record of refused instances."""

from common.spool.layout import SeriesKey
from storescp.registration.refused_instances import MAX_INSTANCES, MAX_SERIES, RefusedInstances


def key(number: int) -> SeriesKey:
    return SeriesKey("1.2", f"1.2.{number}")


def test_an_instance_counts_once_until_it_is_stored() -> None:
    refused = RefusedInstances()
    for uid in ("1", "2", "2"):
        refused.add(key(1), uid)

    assert (refused.count(key(1)), refused.count(key(2))) == (2, 0)
    refused.discard(key(1), "1")
    refused.discard(key(2), "1")
    assert refused.count(key(1)) == 1


def test_the_memory_is_bounded() -> None:
    refused = RefusedInstances()
    for number in range(MAX_SERIES + 10):
        refused.add(key(number), "1")
    for number in range(MAX_INSTANCES + 10):
        refused.add(key(MAX_SERIES), str(number))

    assert refused.count(key(9)) == 0
    assert refused.count(key(10)) == 1
    assert refused.count(key(MAX_SERIES)) == MAX_INSTANCES
