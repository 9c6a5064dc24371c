"""Covered: a disk (tmpfs) that is full to the last byte, for the SCP and for the worker."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.conftest import start_worker
from tests.support.quick_series import QuickSeries
from tests.support.servers import wait_for
from tests.support.system_under_test import TIMEOUT_SECONDS, SystemUnderTest, running_system

pytestmark = [pytest.mark.servers, pytest.mark.slow]

MEGABYTES = 12  # a little more than two quick series and their results


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    size = f"size={MEGABYTES}m"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("cannot mount a tmpfs (needs root and CAP_SYS_ADMIN)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def full_disk_system(
    small_disk: Path, tmp_path: Path, model_dir: Path
) -> Iterator[SystemUnderTest]:
    """A system whose spool is on the small disk, with MIN_FREE_MB 0."""
    settings = {"SPOOL_DIR": small_disk / "spool", "MIN_FREE_MB": 0, "MODEL_DIR": model_dir}
    with running_system(tmp_path, **settings) as system:
        system.start_scp()
        yield system


@pytest.mark.covers("T15")
def test_a_full_disk_refuses_instances_and_loses_nothing(
    full_disk_system: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    full_disk_system.send_all(quick.write(tmp_path / "first"))
    filler = full_disk_system.spool_dir / "filler"
    fill(filler)
    refused = quick.write(tmp_path / "refused")

    assert not full_disk_system.send(refused)
    start_worker(full_disk_system)
    wait_for(
        lambda: "OSError in " in full_disk_system.worker.log,
        "a screening that fails",
        TIMEOUT_SECONDS,
    )
    assert full_disk_system.scp.running
    filler.unlink()
    full_disk_system.send_all(refused)

    histories = full_disk_system.check()
    assert len(histories) == 2
    assert "0xA700" in full_disk_system.scp.log


def fill(path: Path) -> None:
    """Write to a file until the disk is full."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    for size in (65_536, 4096, 1):
        with suppress(OSError):
            while True:
                os.write(descriptor, bytes(size))
    os.close(descriptor)
