"""Output of the command ``show``, as tables and as JSON values."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from common.times import local_time
from db.history import SentObject, SeriesHistory
from db.models import Delivery, Event, HipResult, Screening, StudyEvent
from db.results import withheld_run
from db.states import DeliveryState, RunOutcome
from worker.cli.tables import (
    COLORS,
    NO_GRADE,
    held_json,
    held_table,
    reason_or_error,
    series_json,
)
from worker.review.formatting import percent
from worker.withdrawn_json import withdrawn_json

CHECK_COLORS = {"passed": "green", "failed": "red", "not_reached": "dim"}


def show_tables(history: SeriesHistory) -> list[RenderableType]:
    """Return everything on record about one series, without patient data."""
    tables: list[RenderableType] = [_series_table(history)]
    tables += withdrawal_lines(history.screenings)
    if history.held:
        tables.append(held_table(history.held))
    tables += not_delivered_line(history.screenings)
    if history.hips:
        tables.append(hip_table(history.hips))
    ended = [run for run in history.screenings if run.result is not None]
    if ended:
        tables.append(_rule_table(ended[-1]))
    if history.screenings and history.screenings[-1].warnings:
        warnings = Table("warnings of the last run")
        for warning in history.screenings[-1].warnings:
            warnings.add_row(escape(warning))
        tables.append(warnings)
    if history.deliveries:
        tables.append(delivery_table(history.deliveries))
    return [*tables, event_table(history.events)]


def show_json(history: SeriesHistory) -> dict[str, Any]:
    """Return everything on record about one series as JSON values.

    ``result`` : entry of ``result.json`` of the last run with a result.
    """
    results = [run.result for run in history.screenings if run.result is not None]
    return {
        **series_json(history.series),
        "instances": {
            "received": history.series.instance_count,
            "expected": history.series.expected_count,
            "refused": history.series.refused_count,
            "completed_by": history.series.completed_by,
        },
        "correlation_id": history.series.correlation_id,
        "held": [held_json(one) for one in history.held],
        "not_delivered": not_delivered_json(history.screenings),
        "result": results[-1] if results else None,
        "withdrawn": withdrawn_of(history.screenings),
        "deliveries": [delivery_json(sent) for sent in history.deliveries],
        "events": [event_json(event) for event in history.events],
    }


def not_delivered_json(screenings: Sequence[Screening]) -> dict[str, str | None] | None:
    """Return why the newest result is not delivered, as JSON values; None where it is."""
    run = withheld_run(screenings)
    if run is None:
        return None
    return {"code": run.not_delivered_code, "text": run.not_delivered_text}


def not_delivered_line(screenings: Sequence[Screening]) -> list[RenderableType]:
    """Return a line on a newest result that is not delivered."""
    run = withheld_run(screenings)
    if run is None:
        return []
    code, text = run.not_delivered_code, escape(run.not_delivered_text or "")
    return [f"[yellow]not delivered: {code}: {text} `python -m worker retry UID` sends it.[/]"]


def delivery_json(sent: SentObject) -> dict[str, Any]:
    """Return an object and its delivery as JSON values."""
    return {
        "destination": sent.delivery.destination,
        "role": sent.result_object.role,
        "sop_uid": sent.result_object.sop_instance_uid,
        "state": sent.delivery.state.value,
        "status": sent.delivery.last_status,
        "confirmed_by": sent.delivery.confirmed_by,
        "attempts": sent.delivery.attempts,
        "error": sent.delivery.error,
    }


def withdrawn_of(screenings: Sequence[Screening]) -> dict[str, str | None] | None:
    """Return the withdrawal of the newest graded result, None if it stands."""
    graded = [run for run in screenings if run.outcome is RunOutcome.SCREENED]
    return withdrawn_json(graded[-1]) if graded else None


def withdrawal_lines(screenings: Sequence[Screening]) -> list[str]:
    """Return a line for each withdrawn result, oldest first."""
    return [
        f"[red]withdrawn[/] {local_time(run.withdrawn_at)} by {escape(run.withdrawn_by or '')}"
        f" ({run.withdrawal_reason}): result of revision {run.revision},"
        f" {run.grade or NO_GRADE},"
        f" model {escape(run.model_name or '')} {escape(run.model_version or '')}"
        for run in screenings
        if run.withdrawn_at is not None
    ]


def event_json(event: Event | StudyEvent) -> dict[str, Any]:
    """Return an event as JSON values."""
    return {
        "at": event.at.isoformat(),
        "revision": event.revision,
        "actor": event.actor,
        "what": event.what,
        "before": event.before.value if event.before else None,
        "after": event.after.value if event.after else None,
    }


def _series_table(history: SeriesHistory) -> Table:
    series = history.series
    table = Table(show_header=False, title=series.series_instance_uid, title_justify="left")
    table.add_row("study", series.study_instance_uid)
    table.add_row(
        "state", f"[{COLORS[series.state]}]{series.state}[/] {reason_or_error(series)}"
    )
    table.add_row(
        "correlation ID", series.correlation_id or "none, received by an earlier version"
    )
    table.add_row("revision", f"{series.revision}, attempts {series.attempts}")
    of = "" if series.expected_count is None else f" of {series.expected_count} at the PACS"
    evidence = f"complete by {series.completed_by}"
    refused = f", {series.refused_count} refused" if series.refused_count else ""
    table.add_row("instances", f"{series.instance_count}{of}{refused}, {evidence}")
    if series.change_refused is not None:
        table.add_row("change refused", f"[red]{series.change_refused}[/]")
    if series.next_attempt_at is not None:
        table.add_row("next attempt", local_time(series.next_attempt_at))
    return table


def hip_table(hips: Sequence[HipResult]) -> Table:
    """Return the hips of a result."""
    table = Table("hip", "state", "grade", "probabilities N / Op / Os, %", "neck HU")
    for hip in hips:
        probabilities = (
            hip.probability_normal, hip.probability_osteopenia, hip.probability_osteoporosis
        )  # fmt: skip
        table.add_row(
            hip.side,
            hip.state if hip.reason_code is None else f"{hip.state}: {hip.reason_code}",
            hip.grade or "–",
            " / ".join(map(_percent, probabilities)),
            "–" if hip.neck_hu is None else f"{hip.neck_hu:.0f}",
        )
    return table


def _percent(probability: float | None) -> str:
    """Return a probability in whole percent by plain rounding, as the pages do."""
    return "–" if probability is None else percent(probability).removesuffix(" %")


def _rule_table(run: Screening) -> RenderableType:
    """Return the eligibility rules of a run with the state of each."""
    title = f"Rules applied to revision {run.revision}"
    rows = [*_rule_rows(run.result or {})]
    if not rows:
        return f"{title}: not on record, this result is of an earlier version of osteoscreen."
    table = Table("of", "rule", "", "requires", "found", title=title, title_justify="left")
    for of, check in rows:
        color, code = CHECK_COLORS[check["state"]], check["code"]
        state = check["state"].replace("_", " ") + (f": {code}" if code else "")
        table.add_row(
            of,
            check["rule"].replace("_", " "),
            f"[{color}]{state}[/]",
            check["requires"],
            escape(check["found"] or ""),
        )
    if not any(of.startswith("hip") for of, _ in rows):
        table.add_row("hips", "all", f"[{CHECK_COLORS['not_reached']}]not reached[/]")
    return table


def _rule_rows(result: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the subject of each check and the check as in ``result.json``."""
    for check in result.get("checks", ()):
        yield "series", check
    for hip in result.get("hips", ()):
        for check in hip.get("checks", ()):
            yield f"hip {hip['side']}", check


def delivery_table(deliveries: Sequence[SentObject]) -> Table:
    """Return the objects of a series or study and their deliveries."""
    table = Table("object", "destination", "state", "status", "attempts", "next", "error")
    for sent in deliveries:
        delivery = sent.delivery
        due = delivery.state is DeliveryState.DUE
        table.add_row(
            sent.result_object.role,
            delivery.destination,
            _state(delivery),
            delivery.last_status or "–",
            str(delivery.attempts),
            local_time(delivery.next_attempt_at) if due else "–",
            delivery.error or "",
        )
    return table


def event_table(events: Sequence[Event] | Sequence[StudyEvent]) -> Table:
    """Return the events of a series or study."""
    table = Table("at", "revision", "who", "what", "state", title="Events")
    for event in events:
        change = f"{event.before or ''} → {event.after}" if event.after else ""
        table.add_row(
            local_time(event.at), str(event.revision), event.actor, event.what, change
        )
    return table


def _state(delivery: Delivery) -> str:
    by = delivery.confirmed_by
    return delivery.state if by is None else f"{delivery.state} by {by}"
