"""Fixtures shared by the unit tests."""

from pathlib import Path

import pytest

from common.spool.writer import SpoolWriter


@pytest.fixture
def writer(tmp_path: Path) -> SpoolWriter:
    """Writer of an empty spool."""
    writer = SpoolWriter(tmp_path / "spool")
    writer.prepare()
    return writer
