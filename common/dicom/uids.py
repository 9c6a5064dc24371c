"""Validation of UIDs before they become part of a path (PS3.5 9.1)."""

import re

MAX_UID_LENGTH = 64  # PS3.5 9.1
# PS3.5 9.1: components of digits, separated by dots. A leading zero in a component violates the
# standard, but some devices send it and it is harmless in a path, so it is accepted.
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)


class InvalidUid(ValueError):
    """The value is not a valid UID and must not become part of a path."""


def is_valid_uid(value: str) -> bool:
    """Return whether the value is at most 64 digits and dots without an empty component."""
    return len(value) <= MAX_UID_LENGTH and _UID.fullmatch(value) is not None


def check_uid(value: str) -> str:
    """Return the UID unchanged; raise InvalidUid if it is not valid."""
    if not is_valid_uid(value):
        raise InvalidUid(f"not a UID: {value[: MAX_UID_LENGTH + 1]!r}")
    return value
