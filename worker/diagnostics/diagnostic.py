"""Result of one check of ``doctor``, and texts of addresses and errors without passwords."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Result of one check. ``remedy`` : what to do if it is not ``ok``."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def without_password(url: str) -> str:
    """Return the URL without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def first_line(error: BaseException | str) -> str:
    """Return the first line of an error's message, without credentials in URLs."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return re.sub(r"://[^@\s/]*@", "://", line)
