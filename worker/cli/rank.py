"""Command ``rank``: which series of each study would be screened, by headers alone."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from common.dicom.patterns import MAX_TEXT
from common.dicom.series_rules import SeriesRules
from worker.cli.exit_codes import ALL_REJECTED, BAD_INPUT, SCREENED
from worker.cli.input_folder import input_problem, no_series
from worker.cli.shell import print_json
from worker.cli.studies import group_studies
from worker.cli.tables import print_all
from worker.pipeline import load
from worker.pipeline.ranking.order import ORDER
from worker.pipeline.ranking.rank import RankedSeries, Ranking, rank
from worker.pipeline.result_json import reason_json
from worker.pipeline.validation.patient import ALL_ADULTS, PatientRules


def rank_folder(
    folder: Path, rules: SeriesRules, patients: PatientRules = ALL_ADULTS, *, as_json: bool
) -> int:
    """Rank the series of all studies under ``folder``, print them, return the exit code."""
    problem = input_problem(folder)
    found = load.SeriesFiles() if problem else load.find_series(folder)
    if problem or not found:
        print(problem or no_series(folder, found), file=sys.stderr)
        return BAD_INPUT
    studies = group_studies(found)
    rankings = {study: rank(series, rules, patients) for study, series in studies.items()}
    if as_json:
        print_json([_study_json(study, ranking) for study, ranking in rankings.items()])
    else:
        print_all(_table(study, ranking) for study, ranking in rankings.items())
    candidates = any(ranking.candidates for ranking in rankings.values())
    return SCREENED if candidates else ALL_REJECTED


def _study_json(study: str, ranking: Ranking) -> dict[str, Any]:
    return {
        "study_uid": study,
        "reason": reason_json(ranking.veto),
        "series": [_series_json(entry) for entry in ranking.entries],
    }


def _series_json(entry: RankedSeries) -> dict[str, Any]:
    facts = entry.facts
    return {
        "series_uid": entry.series_instance_uid,
        "rank": entry.rank,
        "state": entry.state,
        "reason": reason_json(entry.reason),
        "name": entry.name,
        "images": facts.images,
        "thickness_mm": facts.thickness_mm,
        "properties": dict(facts.properties.texts),
        "ordered_by": {
            rule: words for rule, (_, words) in zip(ORDER, entry.places, strict=False)
        },
    }


def _table(study: str, ranking: Ranking) -> Table:
    table = Table(
        "rank", "series", "images", "description", "kernel", "why",
        title=f"study {escape(study)}", title_justify="left",
    )  # fmt: skip
    for entry in ranking.entries:
        table.add_row(*(escape(cell) for cell in _cells(entry)))
    return table


def _printable(text: str) -> str:
    """Return the beginning of a header value without the control codes of a terminal."""
    return "".join(letter for letter in text[:MAX_TEXT] if letter.isprintable())


def _cells(entry: RankedSeries) -> Iterable[str]:
    facts = entry.facts
    yield "–" if entry.rank is None else str(entry.rank)
    yield entry.name
    yield str(facts.images)
    for name in ("description", "kernel"):
        yield _printable(facts.properties.texts.get(name, ""))
    if entry.reason is None:
        yield ", ".join(words for _, words in entry.places)
    else:
        yield f"{entry.reason.code}: {entry.reason.text}"
