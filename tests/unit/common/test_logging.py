"""Covered: libraries that log values of data elements, imported after the configuration;
control characters in values.
"""

import subprocess
import sys

import pytest

from common.logging import escape_control_characters

PROGRAM = """
import logging
from common.logging import configure_logging
configure_logging("text")
import {library}
print(logging.getLogger("{library}").getEffectiveLevel() == logging.ERROR)
"""


@pytest.mark.parametrize("library", ["pydicom", "pynetdicom"])
def test_library_that_is_imported_later_does_not_log_warnings(library: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(library=library)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.split() == ["True"]


def test_control_characters_are_escaped_except_in_tracebacks() -> None:
    line = {"peer": "CT1\0\x1b[2J\nevil", "name": "Röntgen", "count": 3, "exception": "a\nb"}

    assert escape_control_characters(None, "", dict(line)) == {
        "peer": "CT1\\x00\\x1b[2J\\nevil",
        "name": "Röntgen",
        "count": 3,
        "exception": "a\nb",
    }
