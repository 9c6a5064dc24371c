"""Covered: associations that are rejected because of the calling title, the address or the
number of associations, with the reason that the requestor reads.

Not covered: malformed requests (test_association_requests.py).
"""

import subprocess

import pytest
from pynetdicom import Association

from tests.support.servers import DCMTK_ENVIRONMENT, child_environment, require_tool, wait_for
from tests.support.storage_scp import OpenStorageScp, associated

pytestmark = pytest.mark.servers


def rejection(assoc: Association) -> tuple[int, int, int]:
    """Return result, source and reason of an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    primitive = assoc.acceptor.primitive
    return primitive.result, primitive.result_source, primitive.diagnostic


def test_a_calling_title_that_is_not_listed_is_rejected(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp = open_storage_scp(allowed_calling_aets=("CT_01",))

    with associated(scp, calling="CT_01") as listed, associated(scp, calling="X") as other:
        assert listed.is_established
        assert other.is_rejected
        assert rejection(other) == (1, 1, 3)


def test_dcmtk_reads_why_it_was_rejected(open_storage_scp: OpenStorageScp) -> None:
    scp = open_storage_scp(allowed_calling_aets=("CT_01",))
    program = require_tool("echoscu", "dcmtk")

    result = subprocess.run(
        [program, "-aet", "UNLISTED", "127.0.0.1", str(scp.port)],
        env=child_environment() | DCMTK_ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert result.returncode != 0
    assert "Calling AE Title Not Recognized" in result.stderr + result.stdout


def test_a_peer_that_is_not_listed_is_rejected(open_storage_scp: OpenStorageScp) -> None:
    scp = open_storage_scp(allowed_peers=("192.0.2.0/24",))

    with associated(scp) as assoc:
        assert assoc.is_rejected
        assert rejection(assoc) == (1, 1, 1)


def test_more_associations_than_the_limit_are_rejected_for_now(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp = open_storage_scp(max_associations=2)

    with associated(scp), associated(scp), associated(scp) as third:
        assert third.is_rejected
        assert rejection(third) == (2, 3, 2)
    wait_for(lambda: scp.associations.count() == 0, "all associations to be closed")
    with associated(scp) as fourth:
        assert fourth.is_established
