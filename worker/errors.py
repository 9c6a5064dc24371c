"""Descriptions of errors without their message.

The messages of libraries often repeat the rejected value, which may identify the patient. They
must not appear in logs or in the database.
"""

import traceback
from pathlib import Path


def describe(error: BaseException) -> str:
    """Return the class of an error and the file and line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    return f"{type(error).__name__} in {Path(frames[-1].filename).name}:{frames[-1].lineno}"


def stack_of(error: BaseException) -> str:
    """Return the stack trace of an error without its message."""
    return "".join(traceback.format_tb(error.__traceback__))


def incomplete(found: int, expected: int) -> str:
    """Return why a series cannot be screened of which the spool has lost images."""
    return f"the spool holds {found} of {expected} images of this series; send it again"
