"""Who is it? By the header of a trusted proxy, or by a session that a token opened.

Sessions live in this process: a restart ends them all, and so does logging out.
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

from worker.review.roles import Role, Visitor, highest
from worker.review.settings import ReviewSettings

SESSION_COOKIE = "osteoscreen_session"
LOGIN_COOKIE = "osteoscreen_login"
SESSION_SECONDS = 12 * 3600
MAX_SESSIONS = 10_000


@dataclass(frozen=True, slots=True)
class Session:
    """Opened by a token until ``ends_at`` (of the clock that the doorkeeper was given)."""

    name: str
    role: Role
    ends_at: float


class Doorkeeper:
    """Knows tokens, trusted proxies and open sessions; one for all threads."""

    def __init__(
        self, settings: ReviewSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._sessions: dict[str, Session] = {}

    def identify(self, connection: HTTPConnection) -> Visitor | None:
        """The visitor, or None for a stranger."""
        address = self.address(connection)
        if self.is_trusted(connection):
            # Two users in one request: a proxy that passes on what the client wrote.
            names = connection.headers.getlist(self._settings.review_user_header)
            if len(names) > 1:
                return None
            if name := "".join(names).strip():
                roles = connection.headers.getlist(self._settings.review_role_header)
                role = highest(",".join(roles).split(","))
                return Visitor(name[:128], role, address, self.csrf(f"proxy {name}"))
        session_id = connection.cookies.get(SESSION_COOKIE, "")
        session = self._sessions.get(session_id)
        if session is None or session.ends_at < self._clock():
            return None
        return Visitor(session.name, session.role, address, self.csrf(f"session {session_id}"))

    def open_session(self, token: str) -> str | None:
        """The id of a new session, or None for a token that is not known."""
        wanted = hashlib.sha256(token.encode()).digest()
        found = None
        for holder in self._settings.review_tokens:  # all of them, whatever matches
            known = hashlib.sha256(holder.token.get_secret_value().encode()).digest()
            if hmac.compare_digest(known, wanted):
                found = holder
        if found is None:
            return None
        self._forget_old_sessions()
        session_id = secrets.token_urlsafe(32)
        ends_at = self._clock() + SESSION_SECONDS
        self._sessions[session_id] = Session(found.name, found.role, ends_at)
        return session_id

    def close_session(self, connection: HTTPConnection) -> None:
        """Log out."""
        self._sessions.pop(connection.cookies.get(SESSION_COOKIE, ""), None)

    def csrf(self, secret: str) -> str:
        """The token that a form of this session, proxy's user or login page must carry."""
        return hmac.new(self._key, secret.encode(), hashlib.sha256).hexdigest()

    def address(self, connection: HTTPConnection) -> str:
        """Of the browser: the last hop that a trusted proxy tells, or our peer."""
        if self.is_trusted(connection):
            forwarded = ",".join(connection.headers.getlist("x-forwarded-for"))
            if last := forwarded.rpartition(",")[2].strip():
                return last[:64]
        return _peer(connection)

    def is_trusted(self, connection: HTTPConnection) -> bool:
        """Whether our peer is a proxy whose headers count."""
        try:
            peer = ipaddress.ip_address(_peer(connection))
        except ValueError:
            return False
        return any(peer in network for network in self._settings.review_trusted_proxies)

    def is_secure(self, connection: HTTPConnection) -> bool:
        """Whether cookies may be bound to TLS: ours, or that of a proxy before us."""
        return connection.url.scheme == "https" or self.is_trusted(connection)

    def _forget_old_sessions(self) -> None:
        # They were opened in the order in which they end.
        for session_id in list(islice(self._sessions, 10)):
            session = self._sessions.get(session_id)
            ended = session is None or session.ends_at < self._clock()
            if ended or len(self._sessions) >= MAX_SESSIONS:
                self._sessions.pop(session_id, None)


def same_token(given: str, wanted: str) -> bool:
    """Compare without telling by the time taken how much of it was right."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def _peer(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""
