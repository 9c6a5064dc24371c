"""Covered: the admission rules. Not covered: the A-ASSOCIATE-RJ (tests/integration)."""

from typing import Any

import pytest

from common.settings.storescp import StoreScpSettings
from storescp.association.admission import (
    CALLING_AE_NOT_RECOGNIZED,
    PEER_NOT_ALLOWED,
    Rejection,
    check_requestor,
)


def check(calling: str, address: str, **settings: Any) -> Rejection | None:
    return check_requestor(calling, address, StoreScpSettings(_env_file=None, **settings))


def test_empty_lists_admit_all() -> None:
    assert check("ANY", "203.0.113.9") is None


def test_a_title_that_is_not_listed_is_not_recognized() -> None:
    assert check("CT_01", "10.0.0.1", allowed_calling_aets="CT_01, CT_02") is None
    assert check(" CT_01 ", "10.0.0.1", allowed_calling_aets="CT_01,CT_02") is None
    rejection = check("ct_01", "10.0.0.1", allowed_calling_aets="CT_01")
    assert rejection == CALLING_AE_NOT_RECOGNIZED
    assert (rejection.result, rejection.source, rejection.reason) == (1, 1, 3)


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.7.9", "::1", "::ffff:10.1.2.3"])
def test_listed_addresses_and_networks_are_admitted(address: str) -> None:
    assert check("X", address, allowed_peers="10.1.2.3, 192.168.7.0/24, ::1") is None


@pytest.mark.parametrize("address", ["10.1.2.4", "192.168.8.1", "::2", "::ffff:10.1.2.4"])
def test_other_addresses_are_not(address: str) -> None:
    lists = {"allowed_peers": "10.1.2.3,192.168.7.0/24,::1"}

    assert check("X", address, **lists) == PEER_NOT_ALLOWED
