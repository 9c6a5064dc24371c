"""One check of ``doctor``, and how it speaks of addresses and errors: without passwords."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``remedy`` : what to do, where it is not ``ok``."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def without_password(url: str) -> str:
    """The URL without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def first_line(error: BaseException | str) -> str:
    """The first line of an error's text, without the credentials of a URL in it."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return re.sub(r"://[^@\s/]*@", "://", line)
