"""Changed content from another sender: record its files, apply the decisions of operators."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from common.dicom.difference import differing_attributes
from common.dicom.errors import NotPart10
from common.dicom.uids import InvalidUid
from common.logging import get_logger
from common.spool.held import held_path, list_held, move_durably, remove_held
from common.spool.layout import SeriesKey, instance_path
from common.spool.part10 import read_header
from db.held import NewHeld, Undone, mark_applied, record_held, undone
from db.session import Sessions
from db.transition import ChangedBy
from storescp.registration.pending_series import PendingSeries

INTERVAL_SECONDS = 30.0
TICK_SECONDS = 1.0

log = get_logger(__name__)


class HeldFiles:
    """Keeps the record equal to the folder ``held``; nothing in memory is needed after a crash.

    ``_recorded`` : files that are on record.
    """

    def __init__(self, spool_dir: Path, pending: PendingSeries, *, actor: str) -> None:
        self._spool_dir = spool_dir
        self._pending = pending
        self._actor = actor
        self._recorded: set[Path] = set()
        self._scan_at = 0.0
        self._next_run = 0.0

    def run(self, sessions: Sessions, *, now: float) -> None:
        """Apply decisions and record new files, if due. ``now`` : monotonic, s."""
        if now < self._next_run:
            return
        self._next_run = now + TICK_SECONDS
        self._apply(sessions, now)
        if self._pending.take_held() or now >= self._scan_at:
            self._scan_at = now  # again at once if the record cannot be written
            self._record_all(sessions)
            self._scan_at = now + INTERVAL_SECONDS

    def hold(self, key: SeriesKey, sha256_by_uid: dict[str, str]) -> None:
        """Move instances of a series to the held files."""
        for uid, sha256 in sha256_by_uid.items():
            path = instance_path(self._spool_dir, key, uid)
            move_durably(self._spool_dir, path, held_path(self._spool_dir, key, sha256))
        self._scan_at = 0.0

    def _record_all(self, sessions: Sessions) -> None:
        new = [one for one in list_held(self._spool_dir) if one[1] not in self._recorded]
        for key, files in groupby(new, key=lambda one: one[0]):
            self._record(sessions, key, [path for _, path in files])

    def _record(self, sessions: Sessions, key: SeriesKey, paths: Sequence[Path]) -> None:
        read = [self._read(key, path) for path in paths]
        held = [one for one in read if one is not None]
        if not held:
            return
        with sessions.begin() as session:
            count = record_held(
                session,
                key.study_instance_uid,
                key.series_instance_uid,
                held,
                ChangedBy(self._actor, datetime.now(UTC)),
            )
        if count is None:
            return  # the series is not on record yet; the next scan tries again
        self._recorded.update(paths)
        if count:
            log.warning(
                "changed_content_held",
                series_instance_uid=key.series_instance_uid,
                instances=count,
                calling_ae_title=held[0].calling_ae_title,
                peer=held[0].source_address,
                remedy="accept or refuse it: review page, or `python -m worker accept UID`",
            )

    def _read(self, key: SeriesKey, path: Path) -> NewHeld | None:
        """Return what the record holds of a file; None where it is not one of ours, or gone."""
        try:
            meta = read_header(path)
            received_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            first = instance_path(self._spool_dir, key, meta.sop_instance_uid)
        except (NotPart10, FileNotFoundError, InvalidUid):
            return None
        return NewHeld(
            meta.sop_instance_uid,
            path.stem,
            received_at,
            meta.calling_ae_title,
            meta.source_address,
            differing_attributes(first, path),
        )

    def _apply(self, sessions: Sessions, now: float) -> None:
        with sessions() as session:
            decisions = undone(session)
        for key, of_series in groupby(decisions, key=_key):
            some = list(of_series)
            for one in some:
                self._apply_one(key, one)
            if any(one.is_accepted for one in some):
                self._pending.found_by_scan(key, last_arrival=now)
            with sessions.begin() as session:
                mark_applied(session, [one.held_id for one in some], now=datetime.now(UTC))
            log.info(
                "changed_content_decided",
                series_instance_uid=key.series_instance_uid,
                accepted=sum(one.is_accepted for one in some),
                refused=sum(not one.is_accepted for one in some),
            )

    def _apply_one(self, key: SeriesKey, one: Undone) -> None:
        path = held_path(self._spool_dir, key, one.sha256)
        if one.is_accepted:
            target = instance_path(self._spool_dir, key, one.sop_instance_uid)
            move_durably(self._spool_dir, path, target)
        remove_held(path)
        self._recorded.discard(path)


def _key(one: Undone) -> SeriesKey:
    return SeriesKey(one.study_instance_uid, one.series_instance_uid)
