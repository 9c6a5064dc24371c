"""Covered: a disk that is full to the last byte, for the SCP and for the worker (tmpfs)."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.conftest import start_worker
from tests.faults.hospital import PATIENCE_SECONDS, Hospital, running_hospital
from tests.faults.quick import QuickSeries
from tests.servers import wait_for

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]

MEGABYTES = 12  # two quick series and their results, and a bit


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    size = f"size={MEGABYTES}m"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("may not mount a tmpfs (needs root and CAP_SYS_ADMIN)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def cramped(small_disk: Path, tmp_path: Path, model_dir: Path) -> Iterator[Hospital]:
    """A hospital whose spool is on the small disk, with no reserve."""
    settings = {"SPOOL_DIR": small_disk / "spool", "MIN_FREE_MB": 0, "MODEL_DIR": model_dir}
    with running_hospital(tmp_path, **settings) as hospital:
        hospital.start_scp()
        yield hospital


def test_a_full_disk_refuses_what_it_cannot_keep_and_loses_nothing(
    cramped: Hospital, quick: QuickSeries, tmp_path: Path
) -> None:
    cramped.send_all(quick.write(tmp_path / "first"))
    filler = cramped.spool_dir / "filler"
    fill(filler)
    refused = quick.write(tmp_path / "refused")

    assert not cramped.send(refused)
    start_worker(cramped)
    wait_for(
        lambda: "OSError in " in cramped.worker.log,
        "a screening without room",
        PATIENCE_SECONDS,
    )
    assert cramped.scp.running
    filler.unlink()
    cramped.send_all(refused)

    histories = cramped.check()
    assert len(histories) == 2
    assert "0xA700" in cramped.scp.log


def fill(path: Path) -> None:
    """Write until not a single byte more fits."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    for size in (65_536, 4096, 1):
        with suppress(OSError):
            while True:
                os.write(descriptor, bytes(size))
    os.close(descriptor)
