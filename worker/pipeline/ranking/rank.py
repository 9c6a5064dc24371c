"""Rank the series of one study: which may be screened, and in which order.

The order of the input does not matter: ties are broken by Series Instance UID.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from common.dicom.series_rules import SeriesRules, excluded_by
from worker.pipeline.ranking.order import ORDER, Place, places_of
from worker.pipeline.ranking.series_facts import SeriesFacts, StudySeries, read_facts
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.results import Rejected
from worker.pipeline.validation.identity import compare_identities
from worker.pipeline.validation.patient import ALL_ADULTS, PatientRules


@dataclass(frozen=True, slots=True)
class RankedSeries:
    """One series of a study with its rank, 1 for the best, or the reason why it has none.

    ``places`` : what it was ordered by, one for each rule of ``order.ORDER``.
    """

    facts: SeriesFacts
    rank: int | None
    state: Literal["candidate", "rejected"]
    reason: Reason | None = None
    places: tuple[Place, ...] = ()

    @property
    def series_instance_uid(self) -> str:
        """Series Instance UID."""
        return self.facts.series_instance_uid

    @property
    def name(self) -> str:
        """The series in words, free of patient data."""
        return self.facts.name

    def as_result(self) -> Rejected:
        """Return a series that is not screened as the result that its headers give."""
        if self.reason is None:
            raise ValueError("The series has no reason against screening.")
        facts = self.facts
        return Rejected(
            facts.series_instance_uid, self.reason, facts.orientation, checks=facts.checks
        )


@dataclass(frozen=True, slots=True)
class Ranking:
    """All series of a study: the candidates by rank, then the rejected ones.

    ``veto`` : the reason against the whole study, for which it has no candidates.
    """

    entries: tuple[RankedSeries, ...]
    veto: Reason | None = None

    @property
    def candidates(self) -> tuple[RankedSeries, ...]:
        """The series that may be screened, the best first."""
        return tuple(entry for entry in self.entries if entry.rank is not None)


def rank(
    series: Iterable[StudySeries],
    rules: SeriesRules = (),
    patients: PatientRules = ALL_ADULTS,
) -> Ranking:
    """Read the headers of each series of a study and rank them."""
    return rank_facts([read_facts(one, patients) for one in series], rules)


def rank_facts(facts: Sequence[SeriesFacts], rules: SeriesRules = ()) -> Ranking:
    """Rank the series of a study by their facts."""
    known = sorted(facts, key=lambda one: one.series_instance_uid)
    veto = _veto(known)
    reasons = [one.reason or veto or _outside_rules(one, rules) for one in known]
    allowed = [one for one, reason in zip(known, reasons, strict=True) if reason is None]
    candidates = sorted(
        ((one, places_of(one)) for one in allowed),
        key=lambda pair: [place for place, _ in pair[1]],
    )
    rejected = sorted(
        (
            RankedSeries(one, None, "rejected", reason)
            for one, reason in zip(known, reasons, strict=True)
            if reason is not None
        ),
        key=lambda entry: (entry.facts.number is None, entry.facts.number or 0),
    )
    ranked = [
        RankedSeries(one, place, "candidate", places=places)
        for place, (one, places) in enumerate(candidates, 1)
    ]
    return Ranking((*ranked, *rejected), veto)


def why_preferred(preferred: RankedSeries, other: RankedSeries) -> str:
    """Return the order of the first rule by which two ranked series differ."""
    for (rule, (order, _)), (first, _), (second, _) in zip(
        ORDER.items(), preferred.places, other.places, strict=True
    ):
        if first != second:
            return f"{rule}: {order}"
    return "equal by all rules, lower Series Instance UID"


def _veto(facts: Sequence[SeriesFacts]) -> Reason | None:
    """Return the reason against every series: several patients, or one who is excluded."""
    identity = compare_identities([one.identity for one in facts], "series of the study")
    if isinstance(identity, Reason):
        return identity
    against = (one.against_patient for one in facts)
    return next((reason for reason in against if reason is not None), None)


def _outside_rules(facts: SeriesFacts, rules: SeriesRules) -> Reason | None:
    excluded = excluded_by(rules, facts.properties)
    if excluded is None:
        return None
    return Reason(ReasonCode.EXCLUDED, f"Outside of SERIES_RULES: {excluded}.")
