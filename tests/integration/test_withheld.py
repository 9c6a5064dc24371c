"""Covered: the record of results that the screening policy does not deliver, their delivery by
a retry, the reports that count as delivered, and runs of both units under the policy, with real
PostgreSQL and the real pipeline.

Not covered: each rule of the policy (tests/unit/worker/screening/test_delivery_policy.py).
"""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from common.metrics import REGISTRY
from common.spool.layout import list_instances
from db.completed_series import SeriesFacts
from db.dxa import NewDxa, add_dxa
from db.history import study_history, study_predecessor
from db.models import Delivery, Screening, Series
from db.retry import Retried, retry_by_uid
from db.states import DeliveryState, ResultPer, SeriesState, StudyState
from db.study_results import save_unchanged
from db.study_series import standing_result
from db.withheld import DeliveredGrade, delivered_grades
from tests.support import record
from tests.support import study_record as study
from tests.support.ct_factory import PATIENT_BIRTH_DATE
from tests.support.quick_series import QuickSeries, make_quick_series
from tests.support.received import FACTS, receive, run_study
from tests.support.record import NOW, SERIES, STUDY, Sessions, after, claim, lease, send
from tests.support.servers import child_environment
from tests.support.worker_contexts import with_settings
from worker.cli.show import not_delivered_json
from worker.cli.show_study import show_study_json
from worker.context import WorkerContext
from worker.screening.screen_series import screen_series

pytestmark = pytest.mark.servers

WITHHELD = {"not_delivered_code": "SILENT", "not_delivered_text": "Nothing is delivered."}


def withhold_study(sessions: Sessions) -> int:
    """Save a withheld result of a study with one destination; return the study's ID."""
    study_id = study.due(sessions, 1)
    held = study.take(sessions, study_id, at=60)
    study.save(
        sessions,
        held,
        study.ends(sessions, held),
        "pacs",
        screening=record.screening(**WITHHELD),
    )
    return study_id


def retry(sessions: Sessions, uid: str, *destinations: str) -> Retried | None:
    with sessions.begin() as session:
        return retry_by_uid(
            session, uid, actor="operator a", now=after(200), destinations=destinations
        )


def deliveries(sessions: Sessions) -> list[tuple[str, DeliveryState]]:
    with sessions() as session:
        rows = session.query(Delivery).order_by(Delivery.id)
        return [(row.destination, row.state) for row in rows]


def run_of(sessions: Sessions) -> Screening:
    with sessions() as session:
        return session.query(Screening).order_by(Screening.id.desc()).limit(1).one()


def silent_results() -> float:
    name, labels = "osteoscreen_withheld_results_total", {"reason": "SILENT"}
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.covers("H11")
def test_a_withheld_study_is_reported_and_a_retry_delivers_it(sessions: Sessions) -> None:
    withhold_study(sessions)

    assert study.state(sessions) is StudyState.REPORTED
    assert study.series_states(sessions) == {"1": SeriesState.SCREENED}
    assert deliveries(sessions) == []
    assert retry(sessions, STUDY) == Retried(screening=False, deliveries=0)

    assert retry(sessions, STUDY, "pacs") == Retried(screening=False, deliveries=2)
    assert deliveries(sessions) == [("pacs", DeliveryState.DUE)] * 2
    run = run_of(sessions)
    assert run.not_delivered_code is None
    send(sessions, claim(sessions, run.id, at=200), 201)
    assert study.state(sessions) is StudyState.DELIVERED
    assert retry(sessions, STUDY, "pacs") == Retried(screening=False, deliveries=0)


def test_a_late_series_leaves_a_withheld_study_reported(sessions: Sessions) -> None:
    study_id = withhold_study(sessions)
    study.add(sessions, 2, at=110)
    assert study.complete(sessions, 200) == [study_id]
    held = study.take(sessions, study_id, at=200)
    ends = study.ends(sessions, held)
    with sessions.begin() as session:
        standing = standing_result(session, study_id)
        assert standing is not None
        kept = [replace(ends[0], state=None), ends[1]]
        save_unchanged(session, held, kept, standing, now=after(210))

    assert study.state(sessions) is StudyState.REPORTED


def test_a_withheld_series_is_screened_and_a_retry_delivers_it(sessions: Sessions) -> None:
    held = lease(sessions, record.register(sessions).series_id)
    record.save(sessions, held, "pacs", result=record.screening(**WITHHELD))

    assert record.read_series(sessions, held.series_id).state is SeriesState.SCREENED
    assert deliveries(sessions) == []
    assert retry(sessions, SERIES, "pacs") == Retried(screening=False, deliveries=2)
    send(sessions, claim(sessions, held.screening_id, at=200), 201)
    assert record.read_series(sessions, held.series_id).state is SeriesState.DELIVERED


def test_a_withheld_report_is_no_predecessor(sessions: Sessions) -> None:
    study_id = withhold_study(sessions)
    with sessions() as session:
        assert study_predecessor(session, study_id) is None

    retry(sessions, STUDY, "pacs")

    with sessions() as session:
        assert study_predecessor(session, study_id) is not None


def report(
    sessions: Sessions,
    number: int,
    *destinations: str,
    facts: SeriesFacts = FACTS,
    **result: Any,
) -> int:
    """Save the report of a series in a study of its own; return the ID of its run."""
    uids = {"study_instance_uid": f"1.9.{number}", "series_instance_uid": f"1.9.{number}.1"}
    series = record.completed(facts=facts, **uids)
    held = lease(sessions, record.register(sessions, series).series_id)
    made = tuple(
        replace(one, sop_instance_uid=f"{one.sop_instance_uid}.{number}")
        for one in record.objects(number)
    )
    record.save(sessions, held, *destinations, result=record.screening(**result), made=made)
    return held.screening_id


def delivered(
    sessions: Sessions, facts: SeriesFacts = FACTS, number: int = 99
) -> list[DeliveredGrade]:
    """Return the delivered reports of the patient on other studies than a new one."""
    uids = {"study_instance_uid": f"1.9.{number}", "series_instance_uid": f"1.9.{number}.1"}
    series = record.completed(facts=facts, **uids)
    series_id = record.register(sessions, series).series_id
    with sessions() as session:
        return delivered_grades(session, session.get_one(Series, series_id), within_months=12)


def test_delivered_reports_of_the_same_patient_count(sessions: Sessions) -> None:
    earlier, long_ago = date(2026, 3, 1), date(2025, 3, 1)
    report(sessions, 1, "pacs", facts=replace(FACTS, study_date=earlier), grade="normal")
    report(sessions, 2, "pacs", facts=replace(FACTS, study_date=long_ago))
    report(sessions, 3, "pacs", facts=replace(FACTS, patient_id="P2"))
    report(sessions, 4, "pacs", facts=replace(FACTS, issuer_of_patient_id="H2"))
    report(sessions, 5, "pacs", facts=replace(FACTS, patient_sex="M"))
    report(sessions, 6, "pacs", **WITHHELD)  # type: ignore[arg-type]
    report(sessions, 7)

    assert delivered(sessions) == [DeliveredGrade(earlier, "normal")]
    assert delivered(sessions, replace(FACTS, study_date=None), 98) == []


def test_a_report_that_its_destination_refused_does_not_count(sessions: Sessions) -> None:
    report(sessions, 1, "pacs")
    assert delivered(sessions) == [DeliveredGrade(NOW.date(), "osteopenia")]

    with sessions.begin() as session:
        session.query(Delivery).update({"state": DeliveryState.REFUSED})

    assert delivered(sessions) == []


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> QuickSeries:
    return make_quick_series(tmp_path_factory.mktemp("quick"))


@pytest.fixture
def policy_context(context: WorkerContext, model_dir: Path) -> WorkerContext:
    """A worker context with the untrained model and one destination that nothing reaches."""
    (destination,) = context.settings.model_validate(
        {"destinations": [{"name": "pacs", "kind": "dicomweb", "url": "http://127.0.0.1:9"}]}
    ).destinations
    return with_settings(context, model_dir=model_dir, destinations=(destination,))


@pytest.mark.covers("R16")
def test_in_the_silent_phase_everything_is_recorded_and_nothing_sent(
    policy_context: WorkerContext, quick: QuickSeries, tmp_path: Path
) -> None:
    silent = with_settings(policy_context, deliver="none")
    of_study, _ = receive(silent, quick, tmp_path / "a", ResultPer.STUDY)
    of_series, series_id = receive(silent, quick, tmp_path / "b", ResultPer.SERIES)
    counted = silent_results()

    assert run_study(silent, of_study) is None
    assert screen_series(silent, series_id) is None

    assert silent_results() == counted + 2
    run = run_of(silent.sessions)
    live = {
        "name": run.model_name, "version": run.model_version, "sha256": run.model_sha256
    }  # fmt: skip
    assert REGISTRY.get_sample_value("osteoscreen_live_model", live) == 1

    results = silent.settings.spool_dir / "results"
    in_study = results / of_study.study_instance_uid / "r1"
    in_series = results / of_series.study_instance_uid / of_series.series_instance_uid / "r1"
    for folder, name in (
        (in_study, "study.json"), (in_study, "result.json"), (in_series, "result.json")
    ):  # fmt: skip
        (entry,) = json.loads((folder / name).read_text())
        assert entry["not_delivered"] == {
            "code": "SILENT",
            "text": "Nothing is delivered (DELIVER=none).",
        }
        assert entry["outputs"]["sr"]
    assert (in_study / "sr.dcm").is_file()
    assert deliveries(silent.sessions) == []
    with silent.sessions() as session:
        history = study_history(session, of_study.study_instance_uid)
    assert history is not None
    assert show_study_json(history)["not_delivered"] == not_delivered_json(history.screenings)


def test_a_second_report_within_the_months_is_recorded_only(
    policy_context: WorkerContext, quick: QuickSeries, tmp_path: Path
) -> None:
    yearly = with_settings(policy_context, repeat_months=12)
    first, _ = receive(yearly, quick, tmp_path / "a", ResultPer.STUDY)
    dxa = NewDxa("P1", "H1", date(2026, 3, 1), "L", -2.6)
    with yearly.sessions.begin() as session:
        add_dxa(session, [dxa], entered_by="dr.hip", now=NOW)
    screening_id = run_study(yearly, first)
    _, second = receive(yearly, quick, tmp_path / "b", ResultPer.SERIES)

    assert screening_id is not None
    assert screen_series(yearly, second) is None
    assert run_of(yearly.sessions).not_delivered_code == "REPEATED"
    assert len(deliveries(yearly.sessions)) == 3
    folder = yearly.settings.spool_dir / "results" / first.study_instance_uid / "r1"
    line = "DXA on record, 2026-03-01: T-score -2.6 (left hip, osteoporosis)."
    assert line.encode() in (folder / "sr.dcm").read_bytes()


def test_a_report_of_another_patient_with_the_same_id_is_no_earlier_report(
    policy_context: WorkerContext, quick: QuickSeries, tmp_path: Path
) -> None:
    yearly = with_settings(policy_context, repeat_months=12)
    _, first = receive(yearly, quick, tmp_path / "a", ResultPer.SERIES)
    other = QuickSeries(
        quick.study,
        quick.series,
        tuple(
            (uid, encoded.replace(PATIENT_BIRTH_DATE.encode(), b"19310203"))
            for uid, encoded in quick.files
        ),
    )
    _, second = receive(yearly, other, tmp_path / "b", ResultPer.SERIES)

    assert screen_series(yearly, first) is not None
    assert screen_series(yearly, second) is not None
    assert run_of(yearly.sessions).not_delivered_code is None


@pytest.mark.covers("H15")
def test_a_patient_on_the_opt_out_list_has_no_result(
    policy_context: WorkerContext, quick: QuickSeries, tmp_path: Path
) -> None:
    key, series_id = receive(policy_context, quick, tmp_path / "a", ResultPer.STUDY)
    path = list_instances(policy_context.settings.spool_dir, key)[0]
    (tmp_path / "list").write_text(f"{dcmread(path, stop_before_pixels=True).PatientID}\n")
    listed = with_settings(policy_context, opt_out_list=tmp_path / "list")

    assert run_study(listed, key) is None

    with listed.sessions() as session:
        history = study_history(session, key.study_instance_uid)
    assert history is not None
    assert (history.study.state, history.study.reason_code) == (
        StudyState.NOTHING_TO_REPORT,
        "OPTED_OUT",
    )
    assert history.hips == ()
    assert record.read_series(listed.sessions, series_id).attempts == 0


def test_a_list_that_cannot_be_read_screens_nobody(
    policy_context: WorkerContext, quick: QuickSeries, tmp_path: Path
) -> None:
    _, series_id = receive(policy_context, quick, tmp_path / "a", ResultPer.SERIES)
    without = with_settings(policy_context, opt_out_list=tmp_path / "gone")

    assert screen_series(without, series_id) is None
    row = record.read_series(without.sessions, series_id)
    assert row.state is SeriesState.QUEUED
    assert row.error is not None
    assert row.error.startswith("FileNotFoundError")


@pytest.mark.covers("H13")
def test_low_density_refuses_a_demonstration_model_at_start(
    child_settings: dict[str, object], model_dir: Path, tmp_path: Path
) -> None:
    settings = {**child_settings, "MODEL_DIR": model_dir, "DELIVER": "low_density"}

    started = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker", "worker"],
        env=child_environment(settings),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert started.returncode == 2
    assert "OSTEOSCREEN_DELIVER: low_density needs a model that was trained" in started.stderr
