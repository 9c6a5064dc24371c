"""Find what ``show`` displays: by UID, patient ID or accession number; list several studies."""

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from db.history import SeriesHistory, StudyHistory, series_history, study_history
from db.session import Session
from db.states import RunOutcome
from db.study_worklist import ListedStudy, find_studies
from worker.cli.tables import COLORS, NO_GRADE, STUDY_COLORS, reason_or_error, series_json

Found = SeriesHistory | StudyHistory | Sequence[ListedStudy]


def find(session: Session, identifier: str) -> Found:
    """Return the series or study of an identifier, or the studies where it has several.

    Patient IDs and accession numbers are looked for after UIDs. Empty if nothing has it.
    """
    by_uid = series_history(session, identifier) or study_history(session, identifier)
    if by_uid is not None:
        return by_uid
    found = find_studies(session, identifier)
    if len(found) != 1:
        return found
    (one,) = found
    if one.study.state is not None:
        return study_history(session, one.study.study_instance_uid) or found
    if len(one.series) == 1:
        return series_history(session, one.series[0].series_instance_uid) or found
    return found


def studies_table(found: Sequence[ListedStudy]) -> list[RenderableType]:
    """Return the series of several studies, without patient data."""
    table = Table("study", "rank", "number", "state", "grade", "reason or error", "series")
    for one in found:
        study, run = one.study, one.screening
        state = study.state and f"[{STUDY_COLORS[study.state]}]{study.state}[/]"
        ended = NO_GRADE if run and run.outcome is RunOutcome.SCREENED else "–"
        grade = (run.grade if run else None) or ended
        table.add_row(
            study.study_instance_uid, "", "", state, grade, reason_or_error(study), ""
        )
        for series in one.series:
            table.add_row(
                "",
                "–" if series.rank is None else str(series.rank),
                "–" if series.series_number is None else str(series.series_number),
                f"[{COLORS[series.state]}]{series.state}[/]",
                "",
                escape(reason_or_error(series)),
                series.series_instance_uid,
            )
        table.add_section()
    return [table, "`python -m worker show UID` tells everything about one of them."]


def studies_json(found: Sequence[ListedStudy]) -> dict[str, Any]:
    """Return the studies as JSON values, without patient data."""
    return {
        "studies": [
            {
                "study_uid": one.study.study_instance_uid,
                "state": one.study.state.value if one.study.state else None,
                "grade": one.screening.grade if one.screening else None,
                "series": [
                    {**series_json(series), "rank": series.rank} for series in one.series
                ],
            }
            for one in found
        ]
    }
