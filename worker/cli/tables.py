"""Shared parts of the tables that the operator commands print."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from common.times import local_time
from db.held import CHANGED_CONTENT, HeldContent
from db.models import Series, Study
from db.states import SeriesState, StudyState

if TYPE_CHECKING:
    from worker.diagnostics.diagnostic import Diagnostic

NO_GRADE = "spine measured, no hip graded"
COLORS = {
    SeriesState.RECEIVING: "cyan",
    SeriesState.QUEUED: "cyan",
    SeriesState.SCREENING: "blue",
    SeriesState.SCREENED: "yellow",
    SeriesState.DELIVERED: "green",
    SeriesState.REJECTED: "magenta",
    SeriesState.FAILED: "red",
    SeriesState.NOT_SELECTED: "dim",
}
STUDY_COLORS = {
    StudyState.COLLECTING: "cyan",
    StudyState.SCREENING: "blue",
    StudyState.REPORTED: "yellow",
    StudyState.DELIVERED: "green",
    StudyState.NOTHING_TO_REPORT: "magenta",
    StudyState.FAILED: "red",
}


def print_all(renderables: Iterable[RenderableType]) -> None:
    """Print to stdout; the lines are not truncated when stdout is not a terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    for renderable in renderables:
        console.print(renderable)


def doctor_table(checks: "Sequence[Diagnostic]") -> Table:
    """Return a table with one row per check and a remedy below each failure."""
    table = Table("check", "", "result")
    for check in checks:
        mark = "[green]ok[/]" if check.ok else "[red]failed[/]"
        remedy = f"\n[yellow]→ {check.remedy}[/]" if check.remedy else ""
        table.add_row(check.name, mark, f"{check.detail}{remedy}")
    return table


def series_json(series: Series) -> dict[str, Any]:
    """Return one series as JSON values, without patient data."""
    reason = {"code": series.reason_code, "text": series.reason_text}
    return {
        "series_uid": series.series_instance_uid,
        "study_uid": series.study_instance_uid,
        "state": series.state.value,
        "revision": series.revision,
        "attempts": series.attempts,
        "reason": reason if series.reason_code else None,
        "error": series.error,
        "change_refused": series.change_refused,
        "changed_at": series.changed_at.isoformat(),
    }


def held_table(held: Iterable[HeldContent]) -> Table:
    """Return changed content from other senders that waits for a decision."""
    table = Table(
        "received", "series", "images", "first from", "now from", "differs in",
        title=f"{CHANGED_CONTENT}: accept or refuse with `python -m worker accept|refuse UID`",
        title_justify="left",
    )  # fmt: skip
    for one in held:
        table.add_row(
            local_time(one.received_at),
            one.series_instance_uid,
            str(one.instances),
            escape(str(one.first)),
            escape(str(one.sender)),
            ", ".join(one.differences) or "–",
        )
    return table


def held_json(one: HeldContent) -> dict[str, Any]:
    """Return changed content of a series as JSON values."""
    return {
        "series_uid": one.series_instance_uid,
        "study_uid": one.study_instance_uid,
        "reason": {"code": CHANGED_CONTENT, "text": one.text},
        "sender": {"ae_title": one.sender.ae_title, "address": one.sender.address},
        "first_sender": {"ae_title": one.first.ae_title, "address": one.first.address},
        "instances": one.instances,
        "differences": list(one.differences),
        "received_at": one.received_at.isoformat(),
    }


def reason_or_error(series: Series | Study) -> str:
    """Return why a series or study has no result or failed, empty if neither."""
    if series.reason_code is not None:
        return f"{series.reason_code}: {series.reason_text}"
    return series.error or ""
