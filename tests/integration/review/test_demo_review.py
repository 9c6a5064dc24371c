"""Covered: the last step of ``make demo UI=1``: the page is open until Ctrl-C."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from deploy.demo.processes import Process
from tests.support.review_site import ReviewClient
from tests.support.servers import child_environment, wait_for

pytestmark = pytest.mark.servers

PROGRAM = """
import sys
from pathlib import Path
from deploy.demo.review import wait_for_reader
wait_for_reader(sys.argv[1], Path(sys.argv[2]), check=lambda: None)
"""


def test_the_page_stays_open_until_it_is_interrupted(database_url: str, tmp_path: Path) -> None:
    demo = Process(
        (sys.executable, "-c", PROGRAM, database_url, str(tmp_path)),
        environment=child_environment() | {"COLUMNS": "200"},
        log_path=tmp_path / "demo.log",
    )
    with demo:
        match = wait_for(
            lambda: re.search(r"review page: (\S+)/\s+token: (\S+)", demo.log),
            "the address of the review page",
            180,
        )
        assert match is not None
        with ReviewClient(match[1]) as client:
            assert client.log_in("the-token-of-another-demo").status_code == 401
            assert client.log_in(match[2]).status_code == 303
            assert "demo (operator)" in client.get("/").text

        os.kill(demo.pid, signal.SIGINT)

        assert demo.wait(60) == 0, demo.log
