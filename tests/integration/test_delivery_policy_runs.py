"""Covered: runs of both units under the screening policy: silent phase, repeated reports,
patients who opted out, with real PostgreSQL and the real pipeline.

Not covered: each rule of the policy (tests/unit/worker/screening/test_delivery_policy.py).
"""

import json
from datetime import date
from pathlib import Path

import pytest
from pydicom import dcmread

from common.metrics import REGISTRY
from common.spool.layout import list_instances
from db.dxa import NewDxa, add_dxa
from db.history import study_history
from db.states import ResultPer, SeriesState, StudyState
from tests.support import record
from tests.support.ct_factory import PATIENT_BIRTH_DATE
from tests.support.quick_series import QuickSeries, make_quick_series
from tests.support.received import receive, run_study
from tests.support.record import NOW
from tests.support.worker_cli import run_celery_worker
from tests.support.worker_contexts import with_settings
from worker.cli.show import not_delivered_json
from worker.cli.show_study import show_study_json
from worker.context import WorkerContext
from worker.screening.screen_series import screen_series

pytestmark = pytest.mark.servers


def silent_results() -> float:
    name, labels = "osteoscreen_withheld_results_total", {"reason": "SILENT"}
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> QuickSeries:
    return make_quick_series(tmp_path_factory.mktemp("quick"))


@pytest.mark.covers("R16")
def test_in_the_silent_phase_everything_is_recorded_and_nothing_sent(
    destined: WorkerContext, quick: QuickSeries, tmp_path: Path
) -> None:
    silent = with_settings(destined, deliver="none")
    of_study, _ = receive(silent, quick, tmp_path / "a", ResultPer.STUDY)
    of_series, series_id = receive(silent, quick, tmp_path / "b", ResultPer.SERIES)
    counted = silent_results()

    assert run_study(silent, of_study) is None
    assert screen_series(silent, series_id) is None

    assert silent_results() == counted + 2
    run = record.newest_run(silent.sessions)
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
    assert record.deliveries(silent.sessions) == []
    with silent.sessions() as session:
        history = study_history(session, of_study.study_instance_uid)
    assert history is not None
    assert show_study_json(history)["not_delivered"] == not_delivered_json(history.screenings)


def test_a_second_report_within_the_months_is_recorded_only(
    destined: WorkerContext, quick: QuickSeries, tmp_path: Path
) -> None:
    yearly = with_settings(destined, repeat_months=12)
    first, _ = receive(yearly, quick, tmp_path / "a", ResultPer.STUDY)
    dxa = NewDxa("P1", "H1", date(2026, 3, 1), "L", -2.6)
    with yearly.sessions.begin() as session:
        add_dxa(session, [dxa], entered_by="dr.hip", now=NOW)
    screening_id = run_study(yearly, first)
    _, second = receive(yearly, quick, tmp_path / "b", ResultPer.SERIES)

    assert screening_id is not None
    assert screen_series(yearly, second) is None
    assert record.newest_run(yearly.sessions).not_delivered_code == "REPEATED"
    assert len(record.deliveries(yearly.sessions)) == 3
    folder = yearly.settings.spool_dir / "results" / first.study_instance_uid / "r1"
    line = "DXA on record, 2026-03-01: T-score -2.6 (left hip, osteoporosis)."
    assert line.encode() in (folder / "sr.dcm").read_bytes()


def test_a_report_of_another_patient_with_the_same_id_is_no_earlier_report(
    destined: WorkerContext, quick: QuickSeries, tmp_path: Path
) -> None:
    yearly = with_settings(destined, repeat_months=12)
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
    assert record.newest_run(yearly.sessions).not_delivered_code is None


@pytest.mark.covers("H15")
def test_a_patient_on_the_opt_out_list_has_no_result(
    destined: WorkerContext, quick: QuickSeries, tmp_path: Path
) -> None:
    key, series_id = receive(destined, quick, tmp_path / "a", ResultPer.STUDY)
    path = list_instances(destined.settings.spool_dir, key)[0]
    (tmp_path / "list").write_text(f"{dcmread(path, stop_before_pixels=True).PatientID}\n")
    listed = with_settings(destined, opt_out_list=tmp_path / "list")

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
    destined: WorkerContext, quick: QuickSeries, tmp_path: Path
) -> None:
    _, series_id = receive(destined, quick, tmp_path / "a", ResultPer.SERIES)
    without = with_settings(destined, opt_out_list=tmp_path / "gone")

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

    started = run_celery_worker(cwd=tmp_path, settings=settings)

    assert started.returncode == 2
    assert "OSTEOSCREEN_DELIVER: low_density needs a model that was trained" in started.stderr
