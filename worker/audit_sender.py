"""Thread of the worker that sends audit messages to the repository of the hospital."""

import os
import socket
import threading
from datetime import UTC, datetime, timedelta

from common.audit.message import AuditEvent, Facts, audit_message
from common.audit.syslog import SECONDS, SyslogServer, send_messages, syslog_message
from common.logging import get_logger
from common.metrics import AUDIT_OLDEST_SECONDS
from common.settings.base import CommonSettings
from db import audit
from db.session import DatabaseError, Sessions

BATCH = 200
PAUSE_SECONDS = 2.0
RETRY = timedelta(seconds=30)
LEASE = timedelta(seconds=4 * SECONDS)
"""Longer than a batch may take, so that no other worker sends it meanwhile."""

log = get_logger(__name__)


class AuditSender:
    """Sends what is due, the oldest first; an unreachable repository delays nothing else."""

    def __init__(self, settings: CommonSettings, sessions: Sessions) -> None:
        self._settings = settings
        self._sessions = sessions
        self._stopped = threading.Event()
        self._reachable = True
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def start(self) -> None:
        """Start the thread, if there is a repository."""
        if self._settings.audit_syslog is not None:
            self._thread.start()

    def stop(self) -> None:
        """Stop the thread; a batch that it is sending is sent again if it does not end."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(SECONDS)

    def send_due(self, now: datetime) -> bool:
        """Send one batch; return whether there may be more. Raises DatabaseError."""
        server = self._settings.audit_syslog
        if server is None:
            return False
        with self._sessions.begin() as session:
            due = audit.claim_messages(session, now=now, lease=LEASE, limit=BATCH)
        if not due:
            return False
        problem = self._try(server, due)
        with self._sessions.begin() as session:
            if problem is None:
                audit.mark_audit_sent(session, due, now=now)
            else:
                audit.postpone(session, due, until=now + RETRY)
        if problem is not None and self._reachable:
            log.warning("audit_unreachable", server=f"{server[0]}:{server[1]}", error=problem)
        self._reachable = problem is None
        return problem is None and len(due) == BATCH

    def _try(self, server: tuple[str, int], due: list[audit.DueMessage]) -> str | None:
        host, process = socket.gethostname(), str(os.getpid())
        messages = [
            syslog_message(
                audit_message(Facts(AuditEvent(one.event), one.at, **one.detail)),
                at=one.at,
                host=host,
                process=process,
            )
            for one in due
        ]
        try:
            send_messages(SyslogServer(*server), self._settings.tls, messages)
        except (OSError, ValueError) as error:
            return getattr(error, "strerror", None) or str(error) or type(error).__name__
        return None

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                while self.send_due(datetime.now(UTC)) and not self._stopped.is_set():
                    pass
                with self._sessions() as session:
                    oldest = audit.oldest_unsent(session)
                waiting = datetime.now(UTC) - oldest if oldest else timedelta()
                AUDIT_OLDEST_SECONDS.set(waiting.total_seconds())
            except DatabaseError as error:
                log.warning("audit_failed", error=type(error).__name__)
            self._stopped.wait(PAUSE_SECONDS)
