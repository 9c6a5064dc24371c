"""What ``make fresh`` reads and prints; that it works is for ``make fresh`` itself."""

from pathlib import Path

from tests.fresh.__main__ import INSTALL, Row, table
from tests.fresh.clean_root import Result, received_bytes

ROOT = Path(__file__).parents[2]
NETWORK = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs
    lo: 9000000    1000    0    0    0     0          0         0  9000000    1000    0
  eth0: 1200000    1000    0    0    0     0          0         0    50000     800    0
 wlan0:  300000     200    0    0    0     0          0         0    10000     100    0
"""


def test_received_bytes_are_those_from_outside() -> None:
    assert received_bytes(NETWORK) == 1_500_000
    assert received_bytes() >= 0


def test_table_has_time_download_and_outcome_of_each_step() -> None:
    tests = Result(
        0, 754.6, 2_500_000_000, "=== 2700 passed, 58 skipped in 700.12s (0:11:40) ==="
    )
    demo = Result(2, 61.0, 3_000_000, "")

    lines = table(
        [
            Row("Debian 13, root", "make test", tests),
            Row("Debian 13, user", "make demo", demo, "exit code 2"),
        ]
    ).splitlines()

    assert lines[2:] == [
        "| Debian 13, root | make test | 12:35 min | 2,500 MB | 2700 passed, 58 skipped |",
        "| Debian 13, user | make demo | 1:01 min | 3 MB | exit code 2 |",
    ]


def test_package_is_read_from_the_message_of_make_venv() -> None:
    script = (ROOT / "deploy/make-venv.sh").read_text()
    message = "is not installed: type sudo apt-get install "

    assert f"{message}$package" in script
    told = INSTALL.search(f"python3.13-venv {message}python3.13-venv\n")
    assert told is not None
    assert told[1] == "python3.13-venv"
