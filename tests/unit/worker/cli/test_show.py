"""Covered: the warnings and the rules of a series as ``show`` prints them.

Not covered: the other tables (tests/integration runs the commands).
"""

from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from db.history import SeriesHistory
from db.models import Screening, Series
from db.states import RunOutcome, SeriesState
from worker.cli.show import not_delivered_json, not_delivered_line, show_tables
from worker.pipeline.reasons import Check, ReasonCode
from worker.pipeline.result_json import to_json
from worker.pipeline.results import Hip, Rejected
from worker.pipeline.validation import eligibility
from worker.pipeline.validation.rules import first_failure

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def printed(
    warnings: list[str] | None, result: dict[str, Any] | None = None, refused: int = 0
) -> str:
    series = Series(
        series_instance_uid="1.2.3",
        study_instance_uid="1.2",
        state=SeriesState.SCREENED,
        revision=1,
        attempts=1,
        instance_count=80,
        refused_count=refused,
        completed_by="quiet",
        changed_at=NOW,
    )
    earlier = Screening(warnings=["Noise of 90 HU"])
    last = Screening(warnings=warnings, result=result, revision=1)
    history = SeriesHistory(series, [earlier, last], hips=[], deliveries=[], events=[])
    console = Console(width=160)
    with console.capture() as capture:
        for table in show_tables(history):
            console.print(table)
    return capture.get()


def test_warnings_of_the_last_run_are_shown() -> None:
    text = printed(["Tube voltage 70 kV: the model was trained on [80] kV."])

    assert "Tube voltage 70 kV: the model was trained on [80] kV." in text
    assert "90 HU" not in text


def test_refused_instances_are_counted() -> None:
    assert "80, 17 refused, complete by quiet" in printed(None, refused=17)
    assert "refused" not in printed(None)


def test_without_warnings_there_is_no_table_of_warnings() -> None:
    assert "warnings" not in printed(None)
    assert "warnings" not in printed([])


def rejected(*checks: Check, hips: tuple[Hip, ...] = ()) -> dict[str, Any]:
    reason = first_failure([*checks, *(check for hip in hips for check in hip.checks)])
    assert reason is not None
    return to_json(Rejected("1.2.3", reason, checks=checks, hips=hips))


def line_of(text: str, rule: str) -> str:
    lines = (line.split("│") for line in text.splitlines())
    return next(" ".join(cells) for cells in lines if rule in map(str.strip, cells[:3]))


def test_every_rule_is_shown_with_its_value_and_where_it_stopped() -> None:
    sheared = Check("gantry_tilt", "The slices are sheared by 18°.", ReasonCode.ORIENTATION)
    text = printed(None, rejected(Check("orientation", "Axial, oblique by 2.0°."), sheared))

    assert "passed" in line_of(text, "orientation")
    assert "oblique by at most 20°" in line_of(text, "orientation")
    assert "oblique by 2.0°." in line_of(text, "orientation")
    assert "failed: ORIENTATION" in line_of(text, "gantry tilt")
    assert "sheared by 18°." in line_of(text, "gantry tilt")
    assert "not reached" in line_of(text, "age")
    assert "at least 18 years" in line_of(text, "age")
    assert "not reached" in line_of(text, "hips")


def test_the_rules_of_each_hip_are_shown() -> None:
    metal = Check("metal", "2.1 ml of metal at the [right] hip.", ReasonCode.METAL)
    text = printed(None, rejected(hips=(Hip("R", checks=(metal,)), Hip("L"))))

    assert "2.1 ml of metal at the [right] hip." in line_of(text, "metal")
    assert text.count("hip R") == text.count("hip L") == len(eligibility.HIP_REQUIRES)


def test_a_result_of_an_earlier_version_says_that_its_rules_are_not_on_record() -> None:
    text = printed(None, {"state": "screened", "hips": [{"side": "R", "state": "graded"}]})

    assert "not on record" in text


def test_without_a_result_there_is_no_table_of_rules() -> None:
    assert "Rules" not in printed(None)


def test_a_withheld_result_is_shown_with_its_reason_until_a_newer_one() -> None:
    withheld = Screening(
        outcome=RunOutcome.SCREENED,
        not_delivered_code="SILENT",
        not_delivered_text="Nothing is delivered (DELIVER=none).",
    )
    later = Screening(outcome=RunOutcome.REJECTED)

    (line,) = not_delivered_line([withheld, Screening(outcome=RunOutcome.UNCHANGED)])
    assert "not delivered: SILENT: Nothing is delivered (DELIVER=none)." in str(line)
    assert not_delivered_json([withheld]) == {
        "code": "SILENT",
        "text": "Nothing is delivered (DELIVER=none).",
    }
    assert not_delivered_line([withheld, later]) == []
    assert not_delivered_json([later]) is None
