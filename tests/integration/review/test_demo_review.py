"""Covered: ``make demo UI=1`` from its last step on: the page is open until Ctrl-C."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from deploy.processes import Process
from tests.review_site import Client
from tests.servers import child_environment, wait_for

pytestmark = pytest.mark.servers

PROGRAM = """
import sys
from pathlib import Path
from deploy.demo_review import wait_for_reader
wait_for_reader(sys.argv[1], Path(sys.argv[2]), check=lambda: None)
"""


def test_the_page_stays_open_until_it_is_interrupted(database_url: str, tmp_path: Path) -> None:
    demo = Process(
        (sys.executable, "-c", PROGRAM, database_url, str(tmp_path)),
        environment=child_environment() | {"COLUMNS": "200"},
        log_path=tmp_path / "demo.log",
    )
    with demo:
        said = wait_for(
            lambda: re.search(r"review page: (\S+)/\s+token: (\S+)", demo.log), "it", 180
        )
        assert said is not None
        with Client(said[1]) as client:
            assert client.log_in("somebody-elses-token-is-wrong").status_code == 401
            assert client.log_in(said[2]).status_code == 303
            assert "demo (operator)" in client.get("/").text

        os.kill(demo.pid, signal.SIGINT)

        assert demo.wait(60) == 0, demo.log
