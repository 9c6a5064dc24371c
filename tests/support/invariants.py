"""Invariants that must hold after any fault: nothing lost, nothing duplicated.

Every instance that was answered with Success is on disk byte for byte. Every series ended in
one final state, once per revision. Every PACS holds one SR and one SC for each screened
revision of each series, and nothing else.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydicom import dcmread

from common.dicom.errors import NotPart10
from common.spool.layout import INCOMING, SeriesKey, instance_path
from common.spool.part10 import read_header
from db.history import SeriesHistory, StudyHistory
from db.models import NOTE, Screening
from db.states import DeliveryState, RunOutcome, SeriesState, StudyState

FINAL = frozenset({SeriesState.DELIVERED, SeriesState.REJECTED, SeriesState.FAILED})
GOOD = FINAL - {SeriesState.FAILED}
GOOD_STUDY = frozenset({StudyState.DELIVERED, StudyState.NOTHING_TO_REPORT})
ROLES = Counter(("sr", "sc", "overlay"))
ENDED = frozenset({DeliveryState.SENT, DeliveryState.CONFIRMED, DeliveryState.WITHDRAWN})


@dataclass(frozen=True)
class Violation:
    """One violated invariant."""

    kind: Literal["lost", "doubled", "unfinished"]
    text: str


@dataclass
class Acknowledged:
    """Instances that were answered with Success, with the digest of each data set."""

    digests: dict[tuple[SeriesKey, str], str] = field(default_factory=dict)

    def add(self, paths: Sequence[Path]) -> None:
        """Add files whose last C-STORE was answered with Success."""
        for path in paths:
            ds = dcmread(path, stop_before_pixels=True)
            key = SeriesKey(ds.StudyInstanceUID, ds.SeriesInstanceUID)
            self.digests[key, str(ds.SOPInstanceUID)] = data_set_sha256(path)

    def counts(self) -> Counter[SeriesKey]:
        """Return the number of acknowledged instances by series, in the order of sending."""
        return Counter(
            key for key, _ in list(self.digests)
        )  # a copy: senders may add more meanwhile

    @property
    def series(self) -> list[SeriesKey]:
        """Series with an acknowledged instance, in the order of sending."""
        return list(self.counts())


def data_set_sha256(path: Path) -> str:
    """Return the digest of a DICOM file's data set, without File Meta Information."""
    offset = read_header(path).data_set_offset
    return hashlib.sha256(path.read_bytes()[offset:]).hexdigest()


def violations(
    acknowledged: Acknowledged,
    histories: Mapping[SeriesKey, SeriesHistory | None],
    spool_dir: Path,
    held: Mapping[str, Counter[str]],
    *,
    good: frozenset[SeriesState] = GOOD,
) -> list[Violation]:
    """Return all violated invariants.

    ``histories`` : record of each acknowledged series. ``held`` : number of each SOP Instance
    UID at each destination. ``good`` : final states that are accepted.
    """
    known = {key: history for key, history in histories.items() if history is not None}
    return [
        *_lost_instances(acknowledged, spool_dir),
        *_leftovers(spool_dir),
        *(
            Violation("lost", f"series {key.series_instance_uid} is not on record")
            for key in acknowledged.series
            if key not in known
        ),
        *(one for history in known.values() for one in _of_series(history, good)),
        *_at_destinations(known.values(), held),
    ]


def study_violations(
    acknowledged: Acknowledged,
    histories: Mapping[str, StudyHistory | None],
    spool_dir: Path,
    held: Mapping[str, Counter[str]],
) -> list[Violation]:
    """Return all violated invariants of studies with one result.

    Every study has one current result, or a reason why there is none. ``histories`` : record
    of each acknowledged study. ``held`` : as for ``violations``.
    """
    known = [history for history in histories.values() if history is not None]
    recorded = {one.series_instance_uid for history in known for one in history.series}
    return [
        *_lost_instances(acknowledged, spool_dir),
        *_leftovers(spool_dir),
        *(
            Violation("lost", f"series {key.series_instance_uid} is not on record")
            for key in acknowledged.series
            if key.series_instance_uid not in recorded
        ),
        *(one for history in known for one in _of_study(history)),
        *_at_destinations(known, held),
    ]


def _lost_instances(acknowledged: Acknowledged, spool_dir: Path) -> Iterator[Violation]:
    for (key, uid), digest in acknowledged.digests.items():
        try:
            if data_set_sha256(instance_path(spool_dir, key, uid)) != digest:
                yield Violation("lost", f"instance {uid} has other bytes than acknowledged")
        except (FileNotFoundError, NotPart10):
            yield Violation("lost", f"instance {uid} was acknowledged and is not there")


def _leftovers(spool_dir: Path) -> Iterator[Violation]:
    for path in (spool_dir / INCOMING).iterdir():
        yield Violation("unfinished", f"{INCOMING}/{path.name} was left")


def _of_series(history: SeriesHistory, good: frozenset[SeriesState]) -> Iterator[Violation]:
    series = history.series
    name = f"series {series.series_instance_uid}"
    if series.state not in good:
        yield Violation("unfinished", f"{name} is {series.state} ({series.error})")
    if any(run.finished_at is None for run in history.screenings):
        yield Violation("unfinished", f"{name} has a run that never ended")
    ends = Counter(event.revision for event in history.events if event.after in FINAL)
    for revision, count in ends.items():
        if count > 1:
            yield Violation("doubled", f"{name} ended {count} times in revision {revision}")
    if not ends[series.revision]:
        yield Violation("lost", f"{name} has no end in revision {series.revision}")
    yield from _of_deliveries(name, history, lambda run: run.revision)


def _of_study(history: StudyHistory) -> Iterator[Violation]:
    study = history.study
    name = f"study {study.study_instance_uid}"
    if study.state not in GOOD_STUDY:
        yield Violation("unfinished", f"{name} is {study.state} ({study.error})")
    if any(run.finished_at is None for run in history.screenings):
        yield Violation("unfinished", f"{name} has a run that never ended")
    for one in history.series:
        if one.state not in GOOD | {SeriesState.NOT_SELECTED}:
            yield Violation("unfinished", f"{name} has a series {one.state} ({one.error})")
        elif one.state is not SeriesState.DELIVERED and not one.reason_text:
            yield Violation("lost", f"{name} has a series {one.state} without a reason")
    current = sum(
        run.outcome is RunOutcome.SCREENED and run.withdrawn_at is None
        for run in history.screenings
    )
    expected = int(study.state is StudyState.DELIVERED)
    if current != expected:
        kind: Literal["lost", "doubled"] = "doubled" if current > expected else "lost"
        yield Violation(kind, f"{name} is {study.state} and has {current} current results")
    yield from _of_deliveries(name, history, lambda run: run.id)


def _of_deliveries(
    name: str, history: SeriesHistory | StudyHistory, result_of: Callable[[Screening], int]
) -> Iterator[Violation]:
    """``result_of`` : returns one number for all runs of which one may have a result."""
    runs = {run.id: run for run in history.screenings}
    roles: dict[tuple[int, str], Counter[str]] = {}
    noted = set()
    for sent in history.deliveries:
        destination, state = sent.delivery.destination, sent.delivery.state
        run = runs[sent.delivery.screening_id]
        if sent.result_object.role == NOTE and run.withdrawn_at is not None:
            noted.add((result_of(run), destination))
        else:
            key = result_of(run), destination
            roles.setdefault(key, Counter())[sent.result_object.role] += 1
        done = ENDED if run.withdrawn_at is not None else ENDED - {DeliveryState.WITHDRAWN}
        if state not in done:
            yield Violation("unfinished", f"{name} has an object {state} at {destination}")
    for sent in history.deliveries:
        run, delivery = runs[sent.delivery.screening_id], sent.delivery
        key = result_of(run), delivery.destination
        if run.withdrawn_at is not None and delivery.may_hold and key not in noted:
            yield Violation("lost", f"{name} has no rejection note at {delivery.destination}")
    for (result, destination), counted in roles.items():
        if counted != ROLES:
            text = f"{name} has deliveries {dict(counted)} of result {result} to {destination}"
            yield Violation("doubled" if counted > ROLES else "lost", text)


def _at_destinations(
    histories: Collection[SeriesHistory | StudyHistory], held: Mapping[str, Counter[str]]
) -> Iterator[Violation]:
    """Yield objects that a destination lacks, and those that it should not hold.

    Slices far from the hips change the SR but not the SC: two revisions may have the same SC,
    whose UID is derived from its content.
    """
    expected = Counter(
        {
            (sent.delivery.destination, sent.result_object.sop_instance_uid)
            for history in histories
            for sent in history.deliveries
            if sent.delivery.state is not DeliveryState.WITHDRAWN
        }
    )
    # Of a withdrawn result, an attempt whose worker was killed may have stored an object.
    optional = Counter(
        (sent.delivery.destination, sent.result_object.sop_instance_uid)
        for history in histories
        for sent in history.deliveries
        if sent.delivery.state is DeliveryState.WITHDRAWN
    )
    present = Counter(
        {(name, uid): n for name, uids in held.items() for uid, n in uids.items()}
    )
    for name, uid in expected - present:
        yield Violation("lost", f"{name} lacks {uid}")
    for name, uid in present - expected - optional:
        yield Violation("doubled", f"{name} holds {uid}, which no delivery explains")
