"""Covered: eight addresses that open and hold connections as fast as they can, while a listed
sender connects, sends and is registered; memory and open files of the Storage SCP meanwhile.

Not covered: the screening meanwhile (faults/test_floods.py), the limits one by one
(test_receivers.py, test_waiting_connections.py).
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.demo.processes import Process
from storescp.processes.waiting_connections import MAX_WAITING
from tests.support.ct_factory import ct_series, write_files
from tests.support.flood import flooded, usage
from tests.support.servers import storescu, wait_for

pytestmark = pytest.mark.servers
Settings = dict[str, object]
Start = Callable[[Settings], Process]

MAX_SECONDS = 20.0
"""For a sender: much more than it takes (about 1 s), for a busy machine."""


def test_a_listed_sender_is_served_and_registered_during_a_flood(
    child_settings: Settings, start_storescp: Start, tmp_path: Path
) -> None:
    process = start_storescp(child_settings | {"RECEIVERS": 2, "ALLOWED_CALLING_AETS": "CT_01"})
    port = int(str(child_settings["PORT"]))
    memory, files = usage(process)

    with flooded(port):
        for number in range(3):
            paths = write_files(ct_series(10), tmp_path / str(number))
            begun = time.monotonic()
            sent = storescu(
                paths, port, options=["-aet", "CT_01", "-to", str(int(MAX_SECONDS))]
            )
            print(f"served in {time.monotonic() - begun:.1f} s, {usage(process)}")
            assert sent.returncode == 0, sent.stderr
            assert time.monotonic() - begun < MAX_SECONDS
            memory_now, files_now = usage(process)
            assert memory_now < memory + 100
            assert files_now < files + 2 * MAX_WAITING
        wait_for(lambda: process.log.count("series_queued") == 3, "the registration")

    assert "too_many_connections_of_peer" in process.log
    assert process.running
