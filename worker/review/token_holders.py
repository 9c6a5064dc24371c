"""Tokens of the users, read again when their file changes: no restart for a new token."""

import hashlib
import hmac
import os
from pathlib import Path

from pydantic import ValidationError

from common.logging import get_logger
from common.settings.files import FILE_SUFFIX, PREFIX
from common.settings.review import ReviewSettings, TokenHolder

log = get_logger(__name__)


class TokenHolders:
    """Users by the digest of their token. Without a file, those of the settings.

    A file that cannot be read, or is wrong, leaves the users as they are and is logged once.
    """

    def __init__(self, settings: ReviewSettings, path: Path | None = None) -> None:
        self._path = path
        self._seen = _signature(path)
        self._holders = _by_digest(settings.review_tokens)

    def holder(self, digest: bytes) -> TokenHolder | None:
        """Return the user whose token has this digest, in constant time."""
        self._read_again()
        found = None
        for known, holder in self._holders.items():  # no early exit
            if hmac.compare_digest(known, digest):
                found = holder
        return found

    def _read_again(self) -> None:
        signature = _signature(self._path)
        if self._path is None or signature == self._seen:
            return
        self._seen = signature
        try:
            read = ReviewSettings.model_validate(
                {"review_tokens": self._path.read_text().strip(), "review_host": "127.0.0.1"}
            )
        except OSError as error:
            log.warning("review_tokens_not_read", error=error.strerror)
        except (ValidationError, UnicodeDecodeError):
            log.warning("review_tokens_invalid", remedy="correct the file of REVIEW_TOKENS")
        else:
            self._holders = _by_digest(read.review_tokens)
            log.info("review_tokens_read", users=len(self._holders))


def token_digest(token: str) -> bytes:
    """Return what is compared and kept of a token."""
    return hashlib.sha256(token.encode()).digest()


def tokens_path() -> Path | None:
    """Return the file of ``REVIEW_TOKENS``, None if the setting is not read from one."""
    name = f"{PREFIX}REVIEW_TOKENS"
    path = os.environ.get(name + FILE_SUFFIX)
    return Path(path) if path and not os.environ.get(name) else None


def _by_digest(holders: tuple[TokenHolder, ...]) -> dict[bytes, TokenHolder]:
    return {token_digest(one.token.get_secret_value()): one for one in holders}


def _signature(path: Path | None) -> tuple[int, int, int] | None:
    try:
        status = None if path is None else path.stat()
    except OSError:
        return None
    return status and (status.st_ino, status.st_mtime_ns, status.st_size)
