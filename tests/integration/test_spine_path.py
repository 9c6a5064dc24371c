"""A lumbar spine without hips on the path of a series and of a study, with real PostgreSQL.

Covered: the record without a grade, its deliveries, ``show``, worklist, drift, exports, and the
pages. Not covered: the measurement itself (tests/unit/worker/pipeline/test_spine.py).
"""

import json
import re
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select, update

from db.drift import drift
from db.history import series_history, study_history
from db.models import HipResult, Series
from db.session import Session
from db.states import ResultPer, RunOutcome, SeriesState, StudyState
from db.study_worklist import list_studies
from db.worklist import Filters, all_series
from tests.support.ct_volume import write_ct
from tests.support.quick_series import (
    QuickSeries,
    make_quick_series,
    new_uid,
    read_quick_series,
)
from tests.support.received import receive, run_study
from tests.support.record import NOW
from tests.support.review_site import running_site
from tests.support.spine_above_hips import L1_HU, write_spine_above_hips
from tests.support.spine_phantom import SpinePhantom, build_volume
from tests.support.spine_results import LOW_HU
from tests.support.worker_contexts import with_settings
from worker.cli.show import show_json, show_tables
from worker.cli.show_study import show_study_json, show_study_tables
from worker.context import WorkerContext
from worker.review.export_rows import result_row
from worker.screening.screen_series import screen_series

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def spine(tmp_path_factory: pytest.TempPathFactory) -> QuickSeries:
    """A coronal series from T10 to the sacrum, of 120 kV."""
    return write_spine(tmp_path_factory.mktemp("spine"))


def write_spine(folder: Path, *, vertebrae: int = 5) -> QuickSeries:
    phantom = SpinePhantom((4.0, 1.8, 1.8), trabecular_hu=LOW_HU, lumbar=vertebrae)
    volume = build_volume(phantom)
    behind_mm, down_mm, left_mm = volume.spacing_mm
    paths = write_ct(
        folder / "ct",
        volume.hu,
        origin=tuple(volume.affine[:3, 3]),
        step=(0.0, behind_mm, 0.0),
        spacing=(down_mm, left_mm),
        KVP=120,
        SliceThickness=4,
        ConvolutionKernel="STANDARD",
    )
    return read_quick_series(paths, folder / "template")


def test_a_spine_without_hips_is_recorded_and_due_without_a_grade(
    destined: WorkerContext, spine: QuickSeries, tmp_path: Path
) -> None:
    key, series_id = receive(destined, spine, tmp_path / "a", ResultPer.SERIES)

    assert screen_series(destined, series_id) is not None

    with destined.sessions() as session:
        history = series_history(session, key.series_instance_uid)
        assert history is not None
        check_statistics(session)
    assert history.series.state is SeriesState.SCREENED
    (run,) = history.screenings
    assert (run.outcome, run.grade, run.model_name) == (
        RunOutcome.SCREENED, None, "osteoscreen-lumbar",
    )  # fmt: skip
    assert run.model_simulated is None
    assert {sent.result_object.role for sent in history.deliveries} == {"sr", "sc"}
    assert [hip.reason_code for hip in history.hips] == ["NO_FEMUR"] * 2
    shown = show_json(history)["result"]
    assert [one["site"] for one in shown["measurements"]] == ["L1", "L2", "L3", "L4"]
    assert show_tables(history)


def check_statistics(session: Session) -> None:
    """Check that drift, worklist and export have the result, and none counts a grade."""
    session.execute(update(Series).values(kvp=120.0))
    found = drift(session, since=NOW.replace(year=NOW.year - 1))
    for group in (*found.week, *found.voltage):
        assert (group.measured, group.grades, group.reasons) == (1, {}, {})
        assert group.l1_hu is not None
        assert (group.l1_hu.count, group.neck_hu) == (1, None)
        assert group.l1_hu.median == pytest.approx(LOW_HU["L1"], abs=5)
    assert [group.name for group in found.voltage] == ["120 kV"]
    (listed,) = list_studies(session, Filters(), limit=5)
    assert list(listed.used_for.values()) == [["lumbar spine"]]
    ((series, feedback),) = all_series(session)
    row = result_row(series, feedback)
    assert (row["grade"], row["reason"]) == (None, None)
    assert row["l1_hu"] == pytest.approx(LOW_HU["L1"], abs=5)


def test_a_spine_of_uncertain_level_enters_no_statistics_and_is_on_the_page(
    destined: WorkerContext, tmp_path: Path
) -> None:
    spine = write_spine(tmp_path / "made", vertebrae=4)
    key, series_id = receive(destined, spine, tmp_path / "a", ResultPer.SERIES)

    screen_series(destined, series_id)

    with destined.sessions() as session:
        history = series_history(session, key.series_instance_uid)
        assert history is not None
        (week,) = drift(session, since=NOW.replace(year=NOW.year - 1)).week
        ((series, feedback),) = all_series(session)
        row = result_row(series, feedback)
    assert history.series.state is SeriesState.REJECTED
    assert not history.deliveries
    assert (week.measured, week.l1_hu, week.reasons) == (0, None, {"NO_FEMUR": 1})
    assert [row[f"l{number}_hu"] for number in (1, 2, 3, 4)] == [None] * 4
    with running_site(
        destined.settings.database_url, destined.settings.spool_dir, tmp_path / "site"
    ) as site:
        page = site.client("reader").get(f"/series/{series_id}").text
    assert re.search(r"Lumbar spine, level uncertain: median 1\d\d HU of 3 vertebrae", page)
    assert '<th scope="row">L' not in page


def test_a_study_with_a_spine_only_is_reported_and_shown_on_the_pages(
    destined: WorkerContext, spine: QuickSeries, tmp_path: Path
) -> None:
    key, series_id = receive(destined, spine, tmp_path / "a", ResultPer.STUDY)

    assert run_study(destined, key) is not None

    with destined.sessions() as session:
        history = study_history(session, key.study_instance_uid)
    assert history is not None
    assert history.study.state is StudyState.REPORTED
    assert show_study_json(history)["result"]["grade"] is None
    assert show_study_tables(history)
    folder = destined.settings.spool_dir / "results" / key.study_instance_uid / "r1"
    (entry,) = json.loads((folder / "study.json").read_text())
    assert (entry["state"], entry["grade"], entry["model"]) == ("reported", None, None)
    assert dcmread(folder / "sr.dcm").SeriesDescription.startswith("Lumbar spine")

    with running_site(
        destined.settings.database_url,
        destined.settings.spool_dir,
        tmp_path / "site",
    ) as site:
        client = site.client("reader")
        pages = {
            path: client.get(path)
            for path in (
                "/", f"/series/{series_id}", f"/series/{series_id}/picture/1", "/drift",
                "/export/results.csv",
            )
        }  # fmt: skip
    assert {one.status_code for one in pages.values()} == {200}
    assert "Spine measured" in pages["/"].text
    series_page = pages[f"/series/{series_id}"].text
    assert "Lumbar spine measured, no hip graded" in series_page
    assert "Demonstration model" not in series_page
    assert "HU: ≤ 110 HU" in series_page
    assert "osteoscreen-lumbar" in pages["/export/results.csv"].text


def test_without_a_model_hips_are_recorded_with_their_necks_and_the_reason(
    destined: WorkerContext, tmp_path: Path
) -> None:
    context = with_settings(destined, model_dir=None)
    paths = write_spine_above_hips(tmp_path / "made")
    both = read_quick_series(paths, tmp_path / "template")
    key, series_id = receive(context, both, tmp_path / "a", ResultPer.SERIES)

    assert screen_series(context, series_id) is not None

    with context.sessions() as session:
        history = series_history(session, key.series_instance_uid)
        assert history is not None
        ((series, feedback),) = all_series(session)
        row = result_row(series, feedback)
        (week,) = drift(session, since=NOW.replace(year=NOW.year - 1)).week
    assert week.neck_hu is not None
    assert (week.measured, week.neck_hu.count, week.probability) == (1, 2, None)
    assert [hip.reason_code for hip in history.hips] == ["NO_MODEL"] * 2
    assert all(hip.neck_hu is not None for hip in history.hips)
    assert (row["grade"], row["model"]) == (None, "osteoscreen-lumbar")
    assert row["l1_hu"] == pytest.approx(L1_HU, abs=5)
    with running_site(
        context.settings.database_url, context.settings.spool_dir, tmp_path / "site"
    ) as site:
        page = site.client("reader").get(f"/series/{series_id}").text
    assert page.count('<strong>Not graded</strong> <span class="nowrap">NO_MODEL</span>') == 2
    assert "Demonstration model" not in page


def test_a_study_without_a_model_states_the_necks_that_another_series_shows(
    destined: WorkerContext, spine: QuickSeries, tmp_path: Path
) -> None:
    context = with_settings(destined, model_dir=None)
    study, hips = new_uid(), make_quick_series(tmp_path / "hips")
    key, _ = receive(context, spine, tmp_path / "a", ResultPer.STUDY, study=study)
    of_hips, hips_id = receive(context, hips, tmp_path / "b", ResultPer.STUDY, study=study)

    assert run_study(context, key) is not None

    with context.sessions() as session:
        history = study_history(session, study)
        assert history is not None
        rows = session.scalars(select(HipResult)).all()
    assert history.study.state is StudyState.REPORTED
    assert [(row.reason_code, row.series_id) for row in rows] == [("NO_MODEL", hips_id)] * 2
    assert all(row.neck_hu is not None for row in rows)
    folder = context.settings.spool_dir / "results" / study / "r1"
    (entry,) = json.loads((folder / "study.json").read_text())
    assert (entry["state"], entry["grade"]) == ("reported", None)
    assert entry["measurements"][0]["mean_hu"] == pytest.approx(LOW_HU["L1"], abs=5)
    ends = {one["series_uid"]: one for one in entry["series"]}
    assert ends[key.series_instance_uid]["state"] == "screened"
    assert ends[of_hips.series_instance_uid]["state"] == "rejected"
    assert ends[of_hips.series_instance_uid]["reason"]["code"] == "NO_MODEL"
