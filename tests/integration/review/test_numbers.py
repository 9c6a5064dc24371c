"""Covered: destinations, DXA, drift and exports, in Chromium, down to the database."""

import csv
import io
from datetime import date, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from db import pauses
from db.feedback import ReaderFeedback, add_feedback
from db.models import Access, DxaResult, Screening, Series
from tests.support.review_browser import BrowserWindow, log_in
from tests.support.review_record import GRADES, ISSUER, STUDY_DATE
from tests.support.review_site import ReviewSite
from tests.support.worker_cli import run_worker
from worker.pipeline.grading import MAX_DAYS_APART

pytestmark = pytest.mark.servers

COUNT = 40
T_SCORES = {"normal": 0.3, "osteopenia": -1.8, "osteoporosis": -3.1}


@pytest.fixture(scope="module")
def patients(site: ReviewSite) -> dict[str, str]:
    """Forty patients and a rejected one, with the grade of each by CT (`dxa_table`: by DXA)."""
    grades = {}
    for number in range(COUNT):
        grade = GRADES[number % 3]
        kernel = "Br36" if number % 2 else "Bl57"
        site.record.delivered(grade, grade, convolution_kernel=kernel)
        grades[f"PAT-{site.record.count:04d}"] = grade
    site.record.rejected("METAL", "metal")
    grades[f"PAT-{site.record.count:04d}"] = "osteoporosis"
    return grades


def dxa_table(patients: dict[str, str]) -> bytes:
    rows = ["patient_id,issuer_of_patient_id,dxa_date,side,t_score"]
    for number, (patient, grade) in enumerate(patients.items()):
        by_dxa = "normal" if number % 10 == 9 else grade  # every tenth differs from CT
        day = STUDY_DATE - timedelta(days=number)
        rows.append(f"{patient},{ISSUER},{day},,{T_SCORES[by_dxa]}")
    rows.append(f"NO-CT,{ISSUER},2026-11-01,,-1.0")
    # Four months before the CT, so not compared.
    rows.append(f"PAT-0001,{ISSUER},2026-07-01,,-4.0")
    return "\n".join(rows).encode()


@pytest.fixture
def dxa(site: ReviewSite, patients: dict[str, str]) -> None:
    """Import the DXA results; those that are saved already stay as they are."""
    client = site.client("reader")
    answer = client.post(
        "/dxa/import",
        data={"csrf": client.csrf()},
        files={"file": ("dxa.csv", dxa_table(patients), "text/csv")},
    )
    assert answer.status_code < 400, answer.text


def import_dxa(page: Page, site: ReviewSite, data: bytes) -> None:
    page.goto(f"{site.url}/accuracy")
    page.get_by_label("CSV or XLSX file").set_input_files(
        {"name": "dxa.csv", "mimeType": "text/csv", "buffer": data}
    )
    page.get_by_role("button", name="Import").click()


def test_pages_without_data_say_so(site: ReviewSite, window: BrowserWindow) -> None:
    page = log_in(window.page, site, "viewer")
    for path, heading in (
        ("/accuracy", "No patient with both CT and DXA yet"),
        ("/destinations", "No deliveries yet"),
        ("/drift", "No finished series in these weeks"),
    ):
        page.goto(site.url + path)
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        expect(page.get_by_role("button", name="Import")).to_have_count(0)


def test_dxa_results_are_imported_once_and_feed_the_measures(
    site: ReviewSite, patients: dict[str, str], window: BrowserWindow
) -> None:
    page = log_in(window.page, site, "reader")

    import_dxa(page, site, dxa_table(patients))
    expect(page.get_by_text("43 saved")).to_be_visible()
    expect(page.get_by_text("41 of 43 belong to a patient with a CT")).to_be_visible()
    import_dxa(page, site, dxa_table(patients))
    expect(page.get_by_text("0 saved, 43 already saved before")).to_be_visible()

    page.get_by_role("link", name="Grades compared with DXA").click()
    table = page.get_by_role("region", name="Osteoporosis (T ≤ −2.5)", exact=True)
    # Of 40 graded patients 13 were graded osteoporosis; patients 10, 20, 30 and 40 are normal
    # by DXA, one of whom (30) was graded osteoporosis.
    expect(table.get_by_role("row", name="Sensitivity")).to_contain_text("12 of 12")
    expect(table.get_by_role("row", name="Specificity")).to_contain_text("27 of 28")
    expect(table.get_by_role("row", name="Positive")).to_contain_text("12 of 13")
    expect(table.get_by_role("row", name="Positive")).to_contain_text("67 % to 99 %")
    expect(table.get_by_role("row", name="Positive")).to_contain_text("few patients")
    expect(
        page.get_by_text("1 patient with DXA had a CT that this model did not grade")
    ).to_be_visible()
    expect(page.get_by_role("img", name="Share of patients with osteoporosis")).to_be_visible()


def test_a_result_is_entered_in_the_form_and_shown_with_the_series(
    site: ReviewSite, patients: dict[str, str], window: BrowserWindow
) -> None:
    page = log_in(window.page, site, "reader")
    page.goto(f"{site.url}/accuracy")

    page.get_by_label("Patient ID", exact=True).fill("PAT-0002")
    page.get_by_label("Issuer of patient ID").fill(ISSUER)
    page.get_by_label("DXA date").fill("2026-11-10")
    page.get_by_label("Side").select_option("left hip")
    page.get_by_label("T-score").fill("-1,4")
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text("1 saved")).to_be_visible()
    with site.record.sessions() as session:
        row = session.scalars(select(DxaResult).order_by(DxaResult.id.desc()).limit(1)).one()
    assert (row.t_score, row.side, row.dxa_date, row.entered_by) == (
        -1.4, "L", date(2026, 11, 10), "test reader",
    )  # fmt: skip
    page.goto(f"{site.url}/series/2")
    expect(
        page.get_by_text("T -1.4, left hip, 2026-11-10 (10 days from the CT)")
    ).to_be_visible()
    assert "PAT-0002" not in site.process.log


def test_a_table_with_an_invalid_row_saves_nothing(
    site: ReviewSite, window: BrowserWindow
) -> None:
    page = log_in(window.page, site, "reader")
    with site.record.sessions() as session:
        before = len(session.scalars(select(DxaResult.id)).all())

    import_dxa(page, site, b"patient_id,dxa_date,t_score\nP,2026-11-01,-1\nQ,soon,-1\n")

    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved.")
    expect(page.get_by_role("alert")).to_contain_text("Line 3, dxa_date")
    with site.record.sessions() as session:
        assert len(session.scalars(select(DxaResult.id)).all()) == before
    window.errors.clear()  # the console reports the 422


def test_drift_has_charts_and_tables(
    site: ReviewSite, patients: dict[str, str], window: BrowserWindow
) -> None:
    page = log_in(window.page, site, "viewer")
    page.goto(f"{site.url}/drift?weeks=52")

    for name in ("Share of each grade", "Probability", "Attenuation", "Share of each reason"):
        expect(page.get_by_role("img", name=name)).to_be_visible()
    kernels = page.get_by_role("region", name="By kernel")
    expect(kernels.get_by_role("row", name="Bl57")).to_contain_text("20")
    expect(kernels.get_by_role("row", name="Bl57")).to_contain_text("104 (104 to 104)")
    expect(kernels.get_by_role("row", name="Bl57")).to_contain_text("few")
    weeks = page.get_by_role("region", name="By week")
    expect(weeks.get_by_role("row", name="2026-11-23")).to_contain_text("METAL 1")


def test_a_destination_is_paused_and_resumed(
    site: ReviewSite, patients: dict[str, str], window: BrowserWindow
) -> None:
    page = log_in(window.page, site, "operator")
    page.goto(f"{site.url}/destinations")

    page.get_by_role("button", name="Pause pacs").click()
    expect(page.get_by_text("by operator test operator")).to_be_visible()
    with site.record.sessions() as session:
        assert [one.destination for one in pauses.paused(session)] == ["pacs"]
    page.get_by_role("button", name="Resume pacs").click()
    expect(page.get_by_text("Sending")).to_be_visible()
    with site.record.sessions() as session:
        assert pauses.paused(session) == []


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_results_are_exported_without_identifiers_and_logged(
    site: ReviewSite, patients: dict[str, str], window: BrowserWindow
) -> None:
    page = log_in(window.page, site, "viewer")
    page.goto(f"{site.url}/export")
    with page.expect_download() as download:
        page.get_by_role("link", name="results.csv").click()

    text = Path(download.value.path()).read_text()

    assert len(rows(text)) == COUNT + 1
    assert not [one for one in ("PAT-", "ACC-", "1.2.826", "2026-11", ISSUER) if one in text]
    with site.record.sessions() as session:
        taken = session.scalars(select(Access).where(Access.what == "export")).all()
    assert [(one.who, one.detail) for one in taken] == [
        ("test viewer", {"file": "results.csv", "studies": 0})
    ]


@pytest.mark.usefixtures("dxa")
def test_labels_are_a_manifest_for_training_and_feedback_is_not(
    site: ReviewSite, tmp_path: Path
) -> None:
    manifest = pytest.importorskip("training.cohort.manifest")
    with site.record.sessions.begin() as session:
        first = session.scalars(select(Series).order_by(Series.id).limit(1)).one()
        run = session.scalars(select(Screening).where(Screening.series_id == first.id)).one()
        reader_feedback = ReaderFeedback(
            run.id, "R", "dr.hip", agrees=False, corrected_grade="osteopenia"
        )
        add_feedback(session, first, reader_feedback, now=site.record.at)
    client = site.client("operator")
    labels, feedback = (
        client.get(f"/export/{name}.csv").text for name in ("labels", "feedback")
    )
    (tmp_path / "labels.csv").write_text(labels)

    read = manifest.read_manifest(tmp_path / "labels.csv")

    assert len(read) == 2 * COUNT
    assert all(row.days_apart <= MAX_DAYS_APART for row in read)
    assert all(row.series_dir.is_dir() for row in read)
    assert len({row.patient_id for row in read}) == COUNT
    assert "PAT-" not in labels + feedback
    assert [(row["side"], row["reader_grade"]) for row in rows(feedback)] == [
        ("R", "osteopenia")
    ]


@pytest.mark.usefixtures("dxa")
def test_cohort_is_exported_with_stable_pseudonyms(site: ReviewSite, tmp_path: Path) -> None:
    manifest = pytest.importorskip("training.cohort.manifest")

    def export(name: str) -> str:
        done = run_worker(
            "export", "cohort", "--out", name, "--key", "pseudonyms.key",
            cwd=tmp_path, settings=site.settings,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert f"{2 * COUNT} hips of {COUNT} patients written to {name}" in done.stdout
        return (tmp_path / name).read_text()

    first = export("first.csv")

    assert export("second.csv") == first
    assert "PAT-" not in first
    assert len(manifest.read_manifest(tmp_path / "first.csv")) == 2 * COUNT
    assert (tmp_path / "pseudonyms.key").stat().st_mode & 0o777 == 0o600
    with site.record.sessions() as session:
        newest = session.scalars(select(Access).order_by(Access.id.desc()).limit(1)).one()
    assert (newest.what, newest.detail) == (
        "export",
        {"file": "second.csv", "studies": COUNT},
    )
