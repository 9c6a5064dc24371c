"""Hips of the record with a DXA result or feedback, as rows of a manifest."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db import dxa
from db.dxa import Pair
from db.session import Sessions
from db.worklist import all_series
from worker.pipeline.grading import MAX_DAYS_APART
from worker.review.export_rows import label_rows


@dataclass(frozen=True, slots=True)
class LabeledHip:
    """A hip and its row of a manifest (``LABEL_COLUMNS``)."""

    study_instance_uid: str
    row: dict[str, Any]


def labeled_hips(sessions: Sessions, *, spool_dir: Path, key: bytes) -> Iterator[LabeledHip]:
    """Yield every such hip.

    ``key`` : secret of the pseudonyms; with one key a patient has one pseudonym in all exports.
    """
    with sessions() as session:
        by_series: defaultdict[int, list[Pair]] = defaultdict(list)
        for pair in dxa.pairs(session, max_days_apart=MAX_DAYS_APART):
            by_series[pair.series_id].append(pair)
        for listed, feedback in all_series(session):
            pairs = by_series.get(listed.series.id, [])
            rows = label_rows(listed, feedback, pairs, spool_dir=spool_dir.resolve(), key=key)
            for row in rows:
                yield LabeledHip(listed.series.study_instance_uid, row)
