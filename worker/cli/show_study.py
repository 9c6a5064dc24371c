"""Output of the command ``show`` for a study with one result."""

from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from common.times import local_time
from db.history import StudyHistory
from db.models import HipResult, Series, Study
from worker.cli.show import (
    delivery_json,
    delivery_table,
    event_json,
    event_table,
    hip_table,
    not_delivered_json,
    not_delivered_line,
    withdrawal_lines,
    withdrawn_of,
)
from worker.cli.tables import (
    COLORS,
    STUDY_COLORS,
    held_json,
    held_table,
    reason_or_error,
    series_json,
)


def show_study_tables(history: StudyHistory) -> list[RenderableType]:
    """Return the ranking of a study and what became of each series, without patient data."""
    tables: list[RenderableType] = [_study_table(history.study), _ranking_table(history)]
    tables += withdrawal_lines(history.screenings)
    if history.held:
        tables.append(held_table(history.held))
    tables += not_delivered_line(history.screenings)
    if history.hips:
        tables.append(hip_table(history.hips))
    if history.deliveries:
        tables.append(delivery_table(history.deliveries))
    return [*tables, event_table(history.events)]


def show_study_json(history: StudyHistory) -> dict[str, Any]:
    """Return everything on record about one study as JSON values.

    ``result`` : entry of ``result.json`` of the last run with a result.
    """
    study = history.study
    reason = {"code": study.reason_code, "text": study.reason_text}
    results = [run.result for run in history.screenings if run.result is not None]
    return {
        "study_uid": study.study_instance_uid,
        "state": study.state.value if study.state else None,
        "revision": study.revision,
        "attempts": study.attempts,
        "reason": reason if study.reason_code else None,
        "error": study.error,
        "correlation_id": study.correlation_id,
        "held": [held_json(one) for one in history.held],
        "series": [{**series_json(one), "rank": one.rank} for one in history.series],
        "hips": [_hip_json(hip, history) for hip in history.hips],
        "not_delivered": not_delivered_json(history.screenings),
        "result": results[-1] if results else None,
        "withdrawn": withdrawn_of(history.screenings),
        "deliveries": [delivery_json(sent) for sent in history.deliveries],
        "events": [event_json(event) for event in history.events],
    }


def _hip_json(hip: HipResult, history: StudyHistory) -> dict[str, Any]:
    uids = {one.id: one.series_instance_uid for one in history.series}
    return {
        "side": hip.side,
        "state": hip.state,
        "grade": hip.grade,
        "series_uid": None if hip.series_id is None else uids.get(hip.series_id),
    }


def _study_table(study: Study) -> Table:
    table = Table(show_header=False, title=study.study_instance_uid, title_justify="left")
    if study.state is not None:
        table.add_row(
            "state",
            f"[{STUDY_COLORS[study.state]}]{study.state}[/] {escape(reason_or_error(study))}",
        )
    table.add_row("correlation ID", study.correlation_id or "none")
    table.add_row("revision", f"{study.revision}, attempts {study.attempts}")
    if study.last_received_at is not None:
        table.add_row("last instance", local_time(study.last_received_at))
    if study.next_attempt_at is not None:
        table.add_row("next attempt", local_time(study.next_attempt_at))
    return table


def _ranking_table(history: StudyHistory) -> Table:
    table = Table(
        "rank", "number", "images", "state", "used for", "reason or error", "series",
        title="Series", title_justify="left",
    )  # fmt: skip
    for series in history.series:
        table.add_row(
            "–" if series.rank is None else str(series.rank),
            "–" if series.series_number is None else str(series.series_number),
            str(series.instance_count),
            f"[{COLORS[series.state]}]{series.state}[/]",
            ", ".join(hip.side for hip in history.hips if hip.series_id == series.id),
            escape(_reason(series)),
            series.series_instance_uid,
        )
    return table


def _reason(series: Series) -> str:
    """Return the reason or error of a series, and why its newest change was refused."""
    refused = series.change_refused and f"Change refused: {series.change_refused}"
    return "\n".join(filter(None, (reason_or_error(series), refused)))
