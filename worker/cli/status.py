"""Output of the command ``status``, as tables and as JSON values."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from common.times import local_time
from db.models import Pause, Series
from db.queue_status import ENDED, STUDY_ENDED, QueueStatus
from db.states import DeliveryState
from worker.cli.tables import (
    COLORS,
    STUDY_COLORS,
    held_json,
    held_table,
    reason_or_error,
    series_json,
)


def status_tables(status: QueueStatus) -> list[RenderableType]:
    """Return the queue, the deliveries of each destination, and the last results."""
    since = f"since {local_time(status.ended_since)}"
    tables: list[RenderableType] = [_queue_table(status, since)]
    if any(status.studies.values()):
        tables.append(_study_table(status, since))
    if status.oldest_waiting is not None:
        tables.append(f"longest waiting since {local_time(status.oldest_waiting)}")
    if status.deliveries:
        tables.append(_delivery_table(status.deliveries, since))
    if status.withdrawn:
        counts = ", ".join(f"{n} {reason}" for reason, n in status.withdrawn.items())
        tables.append(f"[red]withdrawn[/] results {since}: {counts}")
    tables += [f"[yellow]{escape(_pause_line(pause))}[/]" for pause in status.paused]
    if status.held:
        tables.append(held_table(status.held))
    return [*tables, _recent_table(status.recent)]


def status_json(status: QueueStatus) -> dict[str, Any]:
    """Return queue, deliveries, pauses and last results as JSON values."""
    waiting = status.oldest_waiting
    by_destination: dict[str, dict[str, int]] = {}
    for (destination, state), count in status.deliveries.items():
        by_destination.setdefault(destination, {})[state.value] = count
    return {
        "series": {state.value: count for state, count in status.series.items()},
        "studies": {state.value: count for state, count in status.studies.items()},
        "ended_since": status.ended_since.isoformat(),
        "deliveries": by_destination,
        "paused": {
            pause.destination: {
                "at": pause.paused_at.isoformat(),
                "by": pause.paused_by,
                "cause": pause.cause,
                "retry_at": pause.retry_at.isoformat() if pause.retry_at else None,
            }
            for pause in status.paused
        },
        "held": [held_json(one) for one in status.held],
        "oldest_waiting": waiting.isoformat() if waiting else None,
        "withdrawn": {reason.value: count for reason, count in status.withdrawn.items()},
        "recent": [series_json(series) for series in status.recent],
    }


def _pause_line(pause: Pause) -> str:
    line = f"{pause.destination} is paused since {local_time(pause.paused_at)}"
    if pause.retry_at is None:
        return f"{line} by {pause.paused_by}"
    return (
        f"{line}: {pause.cause}; next attempt {local_time(pause.retry_at)}, or at once by"
        f" `python -m worker retry --destination {pause.destination}`"
    )


def _queue_table(status: QueueStatus, since: str) -> Table:
    table = Table("state", "series", "", title="Series", title_justify="left")
    for state, count in status.series.items():
        window = since if state in ENDED else ""
        table.add_row(f"[{COLORS[state]}]{state}[/]", str(count), window)
    return table


def _study_table(status: QueueStatus, since: str) -> Table:
    table = Table("state", "studies", "", title="Studies", title_justify="left")
    for state, count in status.studies.items():
        window = since if state in STUDY_ENDED else ""
        table.add_row(f"[{STUDY_COLORS[state]}]{state}[/]", str(count), window)
    return table


def _delivery_table(deliveries: Mapping[tuple[str, DeliveryState], int], since: str) -> Table:
    states = tuple(one for one in DeliveryState if one is not DeliveryState.WITHDRAWN)
    table = Table("destination", *states, title_justify="left")
    table.title = f"Objects (sent, confirmed: {since})"
    for destination in sorted({name for name, _ in deliveries}):
        counts = (str(deliveries.get((destination, state), 0)) for state in states)
        table.add_row(destination, *counts)
    return table


def _recent_table(recent: Iterable[Series]) -> Table:
    table = Table(
        "changed", "series", "revision", "state", "reason or error",
        title="Last changed", title_justify="left",
    )  # fmt: skip
    for series in recent:
        table.add_row(
            local_time(series.changed_at),
            series.series_instance_uid,
            str(series.revision),
            f"[{COLORS[series.state]}]{series.state}[/]",
            reason_or_error(series),
        )
    return table
