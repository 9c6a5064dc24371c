"""Authentication by the headers of a trusted proxy or by a session opened with a token."""

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from starlette.requests import HTTPConnection

from common.settings.review import ReviewSettings
from worker.review.login_limit import LoginLimit
from worker.review.sessions import EndedSession, Sessions
from worker.review.token_holders import TokenHolders
from worker.review.users import User, highest_role

SESSION_COOKIE = "osteoscreen_session"
LOGIN_COOKIE = "osteoscreen_login"
MAX_NAME_LENGTH = 128
MAX_ADDRESS_LENGTH = 64


class Authenticator:
    """Identifies users by trusted proxies, tokens and sessions. Shared by all threads."""

    def __init__(
        self,
        settings: ReviewSettings,
        clock: Callable[[], float] = time.monotonic,
        tokens_file: Path | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._key = secrets.token_bytes(32)
        holders = TokenHolders(settings, tokens_file)
        idle_seconds = 60.0 * settings.review_idle_minutes
        self._sessions = Sessions(holders, clock, idle_seconds=idle_seconds)
        self._login_limit = LoginLimit()

    def identify(self, connection: HTTPConnection) -> User | None:
        """Return the user of a request, or None if it is anonymous."""
        address = self.address(connection)
        if self.is_trusted(connection):
            header = self._settings.review_user_header
            names = connection.headers.getlist(header) if header else []
            # A second header comes from a proxy that forwards what the client sent.
            if len(names) > 1:
                return None
            if name := "".join(names).strip():
                roles = connection.headers.getlist(self._settings.review_role_header)
                role = highest_role(",".join(roles).split(","))
                return User(name[:MAX_NAME_LENGTH], role, address, self.csrf(f"proxy {name}"))
        session_id = connection.cookies.get(SESSION_COOKIE, "")
        return self.session_user(session_id, address)

    def open_session(self, token: str, address: str = "") -> str | None:
        """Return the ID of a new session, or None if the token is unknown."""
        return self._sessions.open(token, address)

    def login_wait_seconds(self, connection: HTTPConnection) -> float:
        """Return the time until the browser's address may try a token; 0 if it may now."""
        return self._login_limit.wait_seconds(self.address(connection), now=self._clock())

    def count_failed_login(self, connection: HTTPConnection) -> None:
        """Count a wrong token for the browser's address."""
        self._login_limit.failed(self.address(connection), now=self._clock())

    def session_user(self, session_id: str, address: str) -> User | None:
        """Return the user of a session, None if it has ended."""
        return self._sessions.user(session_id, address, self.csrf(f"session {session_id}"))

    def close_session(self, connection: HTTPConnection) -> None:
        """End the session of a request."""
        self._sessions.close(connection.cookies.get(SESSION_COOKIE, ""))

    def take_ended(self) -> list[EndedSession]:
        """Return the sessions that have ended without a log-out since the last call."""
        return self._sessions.take_ended()

    def csrf(self, secret: str) -> str:
        """Return the CSRF token for a session, a proxy's user or a login page."""
        return hmac.new(self._key, secret.encode(), hashlib.sha256).hexdigest()

    def address(self, connection: HTTPConnection) -> str:
        """Return the browser's IP address.

        Behind a trusted proxy that is the last entry of X-Forwarded-For, which the proxy added;
        otherwise the peer of the connection.
        """
        if self.is_trusted(connection):
            forwarded = ",".join(connection.headers.getlist("x-forwarded-for"))
            if last := forwarded.rpartition(",")[2].strip():
                return last[:MAX_ADDRESS_LENGTH]
        return _peer(connection)

    def is_trusted(self, connection: HTTPConnection) -> bool:
        """Return whether the peer is a trusted proxy."""
        try:
            peer = ipaddress.ip_address(_peer(connection))
        except ValueError:
            return False
        return any(peer in network for network in self._settings.review_trusted_proxies)

    def is_secure(self, connection: HTTPConnection) -> bool:
        """Return whether cookies may be ``Secure``: TLS ends here or at a trusted proxy."""
        return connection.url.scheme == "https" or self.is_trusted(connection)


def is_same_token(given: str, expected: str) -> bool:
    """Compare two tokens in constant time."""
    return hmac.compare_digest(given.encode(), expected.encode())


def _peer(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""
