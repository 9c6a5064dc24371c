"""Covered: floods of connections from one and from eight addresses, while a listed modality
sends to the whole system: its series are delivered, memory and open files stay flat.

Not covered: the time until a sender is served (integration/test_receivers_flood.py).
"""

from pathlib import Path

import pytest

from db.states import SeriesState
from storescp.processes.waiting_connections import MAX_WAITING
from tests.support.flood import flooded, usage
from tests.support.quick_series import QuickSeries
from tests.support.system_under_test import SystemUnderTest

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]

GROWTH_MIB = 100


def test_a_listed_modality_is_screened_during_floods(
    system: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    system.scp.stop()
    system.start_scp(
        OSTEOSCREEN_ALLOW_ANY_CALLING_AE="false",
        OSTEOSCREEN_ALLOWED_CALLING_AETS="MODALITY",
        OSTEOSCREEN_RECEIVERS="2",
    )
    memory, files = usage(system.scp)

    for addresses in (1, 8):
        with flooded(system.port, addresses):
            for number in range(2):
                system.send_all(quick.write(tmp_path / f"{addresses} {number}"))
                histories = system.check()
                memory_now, files_now = usage(system.scp)
                print(f"{addresses} addresses: {memory_now} MiB, {files_now} open files")
                assert memory_now < memory + GROWTH_MIB
                assert files_now < files + 2 * MAX_WAITING
    system.scp.stop()  # later tests start it with the settings of all

    assert [one.series.state for one in histories] == [SeriesState.DELIVERED] * 4
    assert "too_many_connections_of_peer" in system.logs
