"""Sessions of users who logged in with a token. In memory: a restart ends all of them."""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

from db.access_log import AuditActor
from worker.review.token_holders import TokenHolders, token_digest
from worker.review.users import User

SESSION_SECONDS = 12 * 3600
MAX_SESSIONS = 10_000
EXAMINED_SECONDS = 5.0
"""Pause between two searches for sessions that are idle or over."""


@dataclass(frozen=True, slots=True)
class Session:
    """A login by token; times are of the clock of the sessions."""

    name: str
    role: str
    digest: bytes
    address: str
    ends_at: float
    seen_at: float


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session that ended without a log-out, for the access log."""

    actor: AuditActor
    what: str
    """Entry of the access log: ``session_idle`` or ``session_ended``."""


class Sessions:
    """Shared by all threads. A session ends with its token, after its time, or when idle."""

    def __init__(
        self, holders: TokenHolders, clock: Callable[[], float], *, idle_seconds: float
    ) -> None:
        self._holders = holders
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._ended: list[EndedSession] = []
        self._examine_at = 0.0

    def open(self, token: str, address: str) -> str | None:
        """Return the ID of a new session, or None if the token is unknown."""
        digest = token_digest(token)
        holder = self._holders.holder(digest)
        if holder is None:
            return None
        now = self._clock()
        new = Session(
            holder.name, holder.role.value, digest, address, now + SESSION_SECONDS, now
        )
        session_id = secrets.token_urlsafe(32)
        with self._lock:
            for oldest in list(islice(self._sessions, 10)):
                if len(self._sessions) >= MAX_SESSIONS:
                    self._end(oldest, "session_ended")
            self._sessions[session_id] = new
        return session_id

    def user(self, session_id: str, address: str, csrf: str) -> User | None:
        """Return the user of a session that has not ended; the session was used now."""
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None or self._has_ended(session_id, session):
                return None
            holder = self._holders.holder(session.digest)
            if holder is None:  # the token was replaced
                self._end(session_id, "session_ended")
                return None
            self._sessions[session_id] = replace(
                session, seen_at=self._clock(), role=holder.role.value
            )
        return User(holder.name, holder.role, address, csrf)

    def close(self, session_id: str) -> None:
        """End a session: its user logs out."""
        with self._lock:
            self._sessions.pop(session_id, None)

    def take_ended(self) -> list[EndedSession]:
        """Return the sessions that have ended without a log-out since the last call."""
        with self._lock:
            if self._clock() >= self._examine_at:
                self._examine_at = self._clock() + EXAMINED_SECONDS
                for session_id, session in list(self._sessions.items()):
                    self._has_ended(session_id, session)
            ended, self._ended = self._ended, []
        return ended

    def _has_ended(self, session_id: str, session: Session) -> bool:
        now = self._clock()
        if session.ends_at < now:
            self._end(session_id, "session_ended")
        elif session.seen_at + self._idle_seconds < now:
            self._end(session_id, "session_idle")
        else:
            return False
        return True

    def _end(self, session_id: str, what: str) -> None:
        session = self._sessions.pop(session_id)
        actor = AuditActor(session.name, session.role, session.address)
        self._ended.append(EndedSession(actor, what))
