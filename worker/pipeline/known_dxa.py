"""Sentences of the report about DXA results of the patient that are on record."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from worker.pipeline import wording
from worker.pipeline.grading import grade_of_t_score
from worker.pipeline.volume import Side
from worker.pipeline.wording import SIDE_WORDS

MAX_YEARS_APART = 2
"""Largest distance of a CT and a DXA that its report states, years."""


@dataclass(frozen=True, slots=True)
class KnownDxa:
    """A DXA T-score on record; ``side`` is None where it is not of one hip."""

    dxa_date: date
    t_score: float
    side: Side | None


def is_recent(dxa_date: date, study_date: date) -> bool:
    """Return whether a DXA is at most ``MAX_YEARS_APART`` from a study, before or after it."""
    first, last = sorted((dxa_date, study_date))
    years = last.year - first.year - ((last.month, last.day) < (first.month, first.day))
    anniversary = (last.month, last.day) == (first.month, first.day)
    return years < MAX_YEARS_APART or (years == MAX_YEARS_APART and anniversary)


def dxa_lines(known: Sequence[KnownDxa]) -> Iterable[str]:
    """Yield one line a DXA result, oldest first, then which of the two counts."""
    for one in sorted(known, key=lambda dxa: (dxa.dxa_date, dxa.side or "")):
        grade = grade_of_t_score(one.t_score)
        site = "" if one.side is None else wording.DXA_SIDE.format(side=SIDE_WORDS[one.side])
        yield wording.DXA_ON_RECORD.format(
            date=one.dxa_date.isoformat(), t_score=f"{one.t_score:+.1f}", site=site, grade=grade
        )
    if known:
        yield wording.DXA_IS_REFERENCE
