"""How an error is told: where it came from, without its text.

The messages of libraries repeat the values that they did not like, and those may be the
patient's: they belong neither into logs nor into the record.
"""

import traceback
from pathlib import Path


def describe(error: BaseException) -> str:
    """The class of an error and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    return f"{type(error).__name__} in {Path(frames[-1].filename).name}:{frames[-1].lineno}"


def stack_of(error: BaseException) -> str:
    """The stack of an error without its text."""
    return "".join(traceback.format_tb(error.__traceback__))
