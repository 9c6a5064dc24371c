"""Regular expressions of operators, whose matching time is bounded before they are used.

Python's engine tries the ways in which a pattern can match a text one after the other, of which
some patterns have more than a computer can try: ``(a+)+b`` has 2^n for a text of n characters.
``compile_pattern`` refuses a pattern by an upper bound of that number.
"""

import re
import warnings
from collections.abc import Iterable, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

MAX_PATTERN = 256
MAX_TEXT = 64
"""Characters of a text that are matched: the longest value of VR LO (PS3.5 6.2)."""
# Experiment: a pattern with that many ways takes up to 0.4 s on a text of ``MAX_TEXT``.
MAX_WAYS = 50_000

_REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)


def compile_pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern that ignores case.

    Raises ValueError for an invalid one and for one that could take long to match.
    """
    if not text:
        raise ValueError("the pattern is empty")
    if len(text) > MAX_PATTERN:
        raise ValueError(
            f"the pattern has {len(text)} characters, at most {MAX_PATTERN} are allowed"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a "possible nested set" is a mistake
            ways = _ways(_parser.parse(text, re.IGNORECASE))
            pattern = re.compile(text, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if ways > MAX_WAYS:
        raise ValueError(
            "the pattern could take long to match: use fewer repetitions (*, +, ?, {}) and "
            "none within another"
        )
    return pattern


def matches(pattern: re.Pattern[str], text: str) -> bool:
    """Return whether a pattern is found anywhere in the first ``MAX_TEXT`` characters."""
    return pattern.search(text[:MAX_TEXT]) is not None


def _ways(items: Iterable[tuple[Any, Any]]) -> int:
    """Return an upper bound of the ways in which parsed items match one text."""
    ways = 1
    for kind, argument in items:
        ways = min(ways * _ways_of(kind, argument), MAX_WAYS + 1)
    return ways


def _ways_of(kind: Any, argument: Any) -> int:
    if kind in _REPEATS:
        low, high, body = argument
        return _ways_of_repeat(low, min(high, max(low, MAX_TEXT)), _ways(body))
    if kind is op.BRANCH:
        return sum(_ways(branch) for branch in argument[1])
    if kind is op.GROUPREF_EXISTS:
        return sum(_ways(branch) for branch in argument[1:] if branch is not None)
    # Groups, look-around: the body is the last part.
    body = argument[-1] if isinstance(argument, Sequence) and argument else argument
    return _ways(body) if isinstance(body, _parser.SubPattern) else 1


def _ways_of_repeat(low: int, high: int, ways: int) -> int:
    total = 0
    for count in range(low, high + 1):
        total += ways ** min(count, MAX_TEXT)
        if total > MAX_WAYS:
            break
    return total
