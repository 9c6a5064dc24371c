"""What ``status``, ``show`` and ``doctor`` print: the record as tables and as JSON values."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from db.candidates import Candidate
from db.models import Delivery, Screening, Series
from db.overview import SeriesHistory
from db.standing import ENDED, Standing
from db.states import DeliveryState, SeriesState
from worker.agreement import GRADES, Agreement

if TYPE_CHECKING:
    from worker.check import Check

COLORS = {
    SeriesState.RECEIVING: "cyan",
    SeriesState.QUEUED: "cyan",
    SeriesState.SCREENING: "blue",
    SeriesState.SCREENED: "yellow",
    SeriesState.DELIVERED: "green",
    SeriesState.REJECTED: "magenta",
    SeriesState.FAILED: "red",
}
CHECK_COLORS = {"passed": "green", "failed": "red", "not_reached": "dim"}


def print_all(renderables: Iterable[RenderableType]) -> None:
    """Print to stdout; a pipe gets lines that are not cut."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    for renderable in renderables:
        console.print(renderable)


def status_tables(stands: Standing) -> list[RenderableType]:
    """The queue, the deliveries of each destination, and the last results."""
    since = f"since {local(stands.ended_since)}"
    queue = Table("state", "series", "", title="Series", title_justify="left")
    for state, count in stands.series.items():
        window = since if state in ENDED else ""
        queue.add_row(f"[{COLORS[state]}]{state}[/]", str(count), window)
    tables: list[RenderableType] = [queue]
    if stands.oldest_waiting is not None:
        tables.append(f"longest waiting since {local(stands.oldest_waiting)}")
    if stands.deliveries:
        tables.append(_delivery_counts(stands.deliveries, since))
    tables += [
        f"[yellow]{one.destination} is paused since {local(one.paused_at)}"
        f" by {escape(one.paused_by)}[/]"
        for one in stands.paused
    ]
    last = Table(
        "changed", "series", "revision", "state", "reason or error",
        title="Last changed", title_justify="left",
    )  # fmt: skip
    for one in stands.recent:
        last.add_row(
            local(one.changed_at),
            one.series_instance_uid,
            str(one.revision),
            f"[{COLORS[one.state]}]{one.state}[/]",
            _why(one),
        )
    return [*tables, last]


def show_tables(history: SeriesHistory) -> list[RenderableType]:
    """Everything on record about one series, without the patient."""
    series = history.series
    head = Table(show_header=False, title=series.series_instance_uid, title_justify="left")
    head.add_row("study", series.study_instance_uid)
    head.add_row("state", f"[{COLORS[series.state]}]{series.state}[/] {_why(series)}")
    head.add_row(
        "correlation ID", series.correlation_id or "none, received by an earlier version"
    )
    head.add_row("revision", f"{series.revision}, attempts {series.attempts}")
    of = "" if series.expected_count is None else f" of {series.expected_count} at the PACS"
    evidence = f"complete by {series.completed_by}"
    head.add_row("instances", f"{series.instance_count}{of}, {evidence}")
    if series.next_attempt_at is not None:
        head.add_row("next attempt", local(series.next_attempt_at))
    tables: list[RenderableType] = [head]
    if history.hips:
        hips = Table("hip", "state", "grade", "probabilities N / Op / Os", "neck HU")
        for hip in history.hips:
            chances = (
                hip.probability_normal, hip.probability_osteopenia, hip.probability_osteoporosis
            )  # fmt: skip
            hips.add_row(
                hip.side,
                hip.state if hip.reason_code is None else f"{hip.state}: {hip.reason_code}",
                hip.grade or "–",
                " / ".join("–" if p is None else f"{p:.2f}" for p in chances),
                "–" if hip.neck_hu is None else f"{hip.neck_hu:.0f}",
            )
        tables.append(hips)
    ended = [run for run in history.screenings if run.result is not None]
    if ended:
        tables.append(_rules(ended[-1]))
    if history.screenings and history.screenings[-1].warnings:
        warnings = Table("warnings of the last run")
        for warning in history.screenings[-1].warnings:
            warnings.add_row(escape(warning))
        tables.append(warnings)
    if history.deliveries:
        tables.append(_deliveries(history))
    events = Table("at", "revision", "who", "what", "state", title="Events")
    for event in history.events:
        moved = f"{event.before or ''} → {event.after}" if event.after else ""
        events.add_row(local(event.at), str(event.revision), event.actor, event.what, moved)
    return [*tables, events]


def _rules(run: Screening) -> RenderableType:
    """Rule by rule why a series or hip was rejected, or why not."""
    title = f"Rules, as asked of revision {run.revision}"
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
    """What a check is about, and the check as ``result.json`` has it."""
    for check in result.get("checks", ()):
        yield "series", check
    for hip in result.get("hips", ()):
        for check in hip.get("checks", ()):
            yield f"hip {hip['side']}", check


def doctor_table(checks: "Sequence[Check]") -> Table:
    """One line a check, the remedy below what failed."""
    table = Table("check", "", "result")
    for check in checks:
        mark = "[green]ok[/]" if check.ok else "[red]failed[/]"
        remedy = f"\n[yellow]→ {check.remedy}[/]" if check.remedy else ""
        table.add_row(check.name, mark, f"{check.detail}{remedy}")
    return table


def agreement_tables(candidate: Candidate, found: Agreement) -> list[RenderableType]:
    """How far a candidate agrees with the live model, hip by hip."""
    who = f"{candidate.model_name} {candidate.model_version} beside the live model"
    counts = Table("live model says", title=who, title_justify="left")
    for grade in GRADES:
        counts.add_column(f"candidate: {grade}", justify="right")
    for grade, row in zip(GRADES, found.counts, strict=True):
        counts.add_row(grade, *map(str, row))
    lines = [f"{found.hips} hips, {sum(map(sum, found.counts))} graded by both."]
    if found.share is not None and found.share_95 is not None:
        low, high = found.share_95
        lines.append(f"Same grade: {found.share:.1%} (95 % interval {low:.1%} to {high:.1%}).")
    if found.kappa is not None:
        lines.append(f"Weighted kappa {found.kappa:.2f}.")
    if found.osteoporosis_difference is not None:
        difference = 100 * found.osteoporosis_difference
        lines.append(f"P(osteoporosis) differs by {difference:.1f} points on average.")
    lines.append(
        f"Refused by the candidate only: {found.refused_by_candidate_only},"
        f" by the live model only: {found.refused_by_live_only}."
    )
    return [counts, "\n".join(lines)]


def status_json(stands: Standing) -> dict[str, Any]:
    """The same for scripts."""
    waiting = stands.oldest_waiting
    by_destination: dict[str, dict[str, int]] = {}
    for (destination, state), count in stands.deliveries.items():
        by_destination.setdefault(destination, {})[state.value] = count
    return {
        "series": {state.value: count for state, count in stands.series.items()},
        "ended_since": stands.ended_since.isoformat(),
        "deliveries": by_destination,
        "paused": {
            one.destination: {"at": one.paused_at.isoformat(), "by": one.paused_by}
            for one in stands.paused
        },
        "oldest_waiting": waiting.isoformat() if waiting else None,
        "recent": [series_json(one) for one in stands.recent],
    }


def series_json(series: Series) -> dict[str, Any]:
    """One series without the patient."""
    reason = {"code": series.reason_code, "text": series.reason_text}
    return {
        "series_uid": series.series_instance_uid,
        "study_uid": series.study_instance_uid,
        "state": series.state.value,
        "revision": series.revision,
        "attempts": series.attempts,
        "reason": reason if series.reason_code else None,
        "error": series.error,
        "changed_at": series.changed_at.isoformat(),
    }


def show_json(history: SeriesHistory) -> dict[str, Any]:
    """The same for scripts; ``result`` is the entry of ``result.json`` of the last run."""
    results = [run.result for run in history.screenings if run.result is not None]
    return {
        **series_json(history.series),
        "instances": {
            "received": history.series.instance_count,
            "expected": history.series.expected_count,
            "completed_by": history.series.completed_by,
        },
        "correlation_id": history.series.correlation_id,
        "result": results[-1] if results else None,
        "deliveries": [
            {
                "destination": sent.delivery.destination,
                "role": sent.result_object.role,
                "sop_uid": sent.result_object.sop_instance_uid,
                "state": sent.delivery.state.value,
                "status": sent.delivery.last_status,
                "confirmed_by": sent.delivery.confirmed_by,
                "attempts": sent.delivery.attempts,
                "error": sent.delivery.error,
            }
            for sent in history.deliveries
        ],
        "events": [
            {
                "at": event.at.isoformat(),
                "revision": event.revision,
                "actor": event.actor,
                "what": event.what,
                "before": event.before.value if event.before else None,
                "after": event.after.value if event.after else None,
            }
            for event in history.events
        ],
    }


def local(moment: datetime) -> str:
    """A time as the operator's clock shows it."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _state(delivery: Delivery) -> str:
    by = delivery.confirmed_by
    return delivery.state if by is None else f"{delivery.state} by {by}"


def _why(series: Series) -> str:
    if series.reason_code is not None:
        return f"{series.reason_code}: {series.reason_text}"
    return series.error or ""


def _delivery_counts(deliveries: Mapping[tuple[str, DeliveryState], int], since: str) -> Table:
    states = tuple(DeliveryState)
    table = Table("destination", *states, title_justify="left")
    table.title = f"Objects (sent, confirmed: {since})"
    for destination in sorted({name for name, _ in deliveries}):
        counts = (str(deliveries.get((destination, state), 0)) for state in states)
        table.add_row(destination, *counts)
    return table


def _deliveries(history: SeriesHistory) -> Table:
    table = Table("object", "destination", "state", "status", "attempts", "next", "error")
    for sent in history.deliveries:
        delivery = sent.delivery
        due = delivery.state is DeliveryState.DUE
        table.add_row(
            sent.result_object.role,
            delivery.destination,
            _state(delivery),
            delivery.last_status or "–",
            str(delivery.attempts),
            local(delivery.next_attempt_at) if due else "–",
            delivery.error or "",
        )
    return table
