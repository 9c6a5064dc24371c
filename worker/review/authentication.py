"""Authentication by the headers of a trusted proxy or by a session opened with a token.

Sessions are kept in memory: a restart of the process ends all of them.
"""

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from starlette.requests import HTTPConnection

from common.settings.review import ReviewSettings, Role
from worker.review.login_limit import LoginLimit
from worker.review.users import User, highest_role

SESSION_COOKIE = "osteoscreen_session"
LOGIN_COOKIE = "osteoscreen_login"
SESSION_SECONDS = 12 * 3600
MAX_SESSIONS = 10_000
MAX_NAME_LENGTH = 128
MAX_ADDRESS_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Session:
    """A login by token, valid until ``ends_at`` on the authenticator's clock."""

    name: str
    role: Role
    ends_at: float


class Authenticator:
    """Identifies users by trusted proxies, tokens and sessions. Shared by all threads."""

    def __init__(
        self, settings: ReviewSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._sessions: dict[str, Session] = {}
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
        session = self._sessions.get(session_id)
        if session is None or session.ends_at < self._clock():
            return None
        return User(session.name, session.role, address, self.csrf(f"session {session_id}"))

    def open_session(self, token: str) -> str | None:
        """Return the ID of a new session, or None if the token is unknown."""
        given = hashlib.sha256(token.encode()).digest()
        match = None
        for holder in self._settings.review_tokens:  # no early exit: constant time
            known = hashlib.sha256(holder.token.get_secret_value().encode()).digest()
            if hmac.compare_digest(known, given):
                match = holder
        if match is None:
            return None
        self._remove_oldest_sessions()
        session_id = secrets.token_urlsafe(32)
        ends_at = self._clock() + SESSION_SECONDS
        self._sessions[session_id] = Session(match.name, match.role, ends_at)
        return session_id

    def login_wait_seconds(self, connection: HTTPConnection) -> float:
        """Return the time until the browser's address may try a token; 0 if it may now."""
        return self._login_limit.wait_seconds(self.address(connection), now=self._clock())

    def count_failed_login(self, connection: HTTPConnection) -> None:
        """Count a wrong token for the browser's address."""
        self._login_limit.failed(self.address(connection), now=self._clock())

    def session_user(self, session_id: str, address: str) -> User:
        """Return the user of a session that was just opened."""
        session = self._sessions[session_id]
        return User(session.name, session.role, address, self.csrf(f"session {session_id}"))

    def close_session(self, connection: HTTPConnection) -> None:
        """End the session of a request."""
        self._sessions.pop(connection.cookies.get(SESSION_COOKIE, ""), None)

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

    def _remove_oldest_sessions(self) -> None:
        # Sessions end in the order in which they were opened.
        for session_id in list(islice(self._sessions, 10)):
            session = self._sessions.get(session_id)
            ended = session is None or session.ends_at < self._clock()
            if ended or len(self._sessions) >= MAX_SESSIONS:
                self._sessions.pop(session_id, None)


def is_same_token(given: str, expected: str) -> bool:
    """Compare two tokens in constant time."""
    return hmac.compare_digest(given.encode(), expected.encode())


def _peer(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""
