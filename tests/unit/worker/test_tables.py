"""Covered: the warnings of a series on the operator's screen. Not covered: the other tables
(tests/integration runs the commands)."""

from datetime import UTC, datetime

from rich.console import Console

from db.models import Screening, Series
from db.overview import SeriesHistory
from db.states import SeriesState
from worker.tables import show_tables

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def printed(warnings: list[str] | None) -> str:
    series = Series(
        series_instance_uid="1.2.3",
        study_instance_uid="1.2",
        state=SeriesState.SCREENED,
        revision=1,
        attempts=1,
        instance_count=80,
        completed_by="quiet",
        changed_at=NOW,
    )
    earlier, last = Screening(warnings=["Noise of 90 HU"]), Screening(warnings=warnings)
    history = SeriesHistory(series, [earlier, last], hips=[], deliveries=[], events=[])
    console = Console(width=120)
    with console.capture() as capture:
        for table in show_tables(history):
            console.print(table)
    return capture.get()


def test_warnings_of_the_last_run_are_shown() -> None:
    text = printed(["Tube voltage 70 kV: the model was trained on [80] kV."])

    assert "Tube voltage 70 kV: the model was trained on [80] kV." in text
    assert "90 HU" not in text


def test_without_warnings_nothing_is_said_of_them() -> None:
    assert "warnings" not in printed(None)
    assert "warnings" not in printed([])
