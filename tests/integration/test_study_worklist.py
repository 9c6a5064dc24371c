"""Covered: studies of the worklist and of ``show`` by their identifiers.

Not covered: the pages (review/test_study_pages.py), many studies (review/test_many_series.py).
"""

from dataclasses import replace

import pytest

from db.history import SeriesHistory, StudyHistory
from db.states import SeriesState, StudyState
from db.study_worklist import list_studies
from db.worklist import Filters
from tests.support import record
from tests.support import study_record as study
from tests.support.record import STUDY, Sessions
from worker.cli import show_found
from worker.cli.tables import print_all

pytestmark = pytest.mark.servers

FACTS = replace(record.completed().facts, patient_id="PAT-7", accession_number="ACC-7")


@pytest.fixture
def reported(sessions: Sessions) -> None:
    """A study of three series with a result of the first."""
    for number in (1, 2, 3):
        study.add(sessions, number, facts=replace(FACTS, series_number=number))
    (study_id,) = study.complete(sessions, study.QUIET_SECONDS)
    held = study.take(sessions, study_id, at=60)
    used, *others = study.ends(sessions, held)
    study.save(sessions, held, [used, *others], "pacs")


def add_earlier(sessions: Sessions, *numbers: int) -> None:
    """Add series of another study of the patient with a result a series."""
    for number in numbers:
        uids = {"study_instance_uid": "1.9", "series_instance_uid": f"1.9.{number}"}
        facts = replace(FACTS, accession_number="ACC-1")
        series_id = record.register(sessions, record.completed(facts=facts, **uids)).series_id
        record.save(sessions, record.lease(sessions, series_id))


@pytest.mark.parametrize("identifier", [STUDY, "PAT-7", "ACC-7"])
def test_a_study_is_shown_by_each_identifier(
    identifier: str, sessions: Sessions, reported: None
) -> None:
    with sessions.begin() as session:
        found = show_found.find(session, identifier)

    assert isinstance(found, StudyHistory)
    assert [one.rank for one in found.series] == [1, 2, 3]


def test_several_studies_of_a_patient_are_listed_without_patient_data(
    sessions: Sessions, reported: None, capsys: pytest.CaptureFixture[str]
) -> None:
    add_earlier(sessions, 1)

    with sessions.begin() as session:
        found = show_found.find(session, "PAT-7")
        of_accession = show_found.find(session, "ACC-1")
        of_nothing = show_found.find(session, "ACC")

    assert isinstance(of_accession, SeriesHistory)
    assert of_accession.series.series_instance_uid == "1.9.1"
    assert of_nothing == []
    assert not isinstance(found, SeriesHistory | StudyHistory)
    listed = show_found.studies_json(found)["studies"]
    assert [(one["study_uid"], one["state"], one["grade"]) for one in listed] == [
        ("1.9", None, "osteopenia"),
        (STUDY, "reported", "osteopenia"),
    ]
    assert [len(one["series"]) for one in listed] == [1, 3]
    print_all(show_found.studies_table(found))
    shown = capsys.readouterr().out
    assert "NOT_SELECTED: Series 1." in shown
    assert "PAT-7" not in shown


def test_a_study_is_listed_with_its_series_and_the_one_that_is_used(
    sessions: Sessions, reported: None
) -> None:
    add_earlier(sessions, 1, 2)

    with sessions.begin() as session:
        newest, oldest = list_studies(session, Filters(), limit=5)
        behind = list_studies(session, Filters(), limit=5, before=newest.study.id)

    assert [one.study.id for one in behind] == [oldest.study.id]
    assert oldest.main is not None
    assert oldest.main.series_instance_uid == "1.2.3.1"
    assert oldest.used_for == {oldest.main.id: ["R", "L"]}
    assert [one.state for one in oldest.series] == [
        SeriesState.SCREENED,
        SeriesState.NOT_SELECTED,
        SeriesState.NOT_SELECTED,
    ]
    assert (newest.study.state, len(newest.series)) == (None, 2)


@pytest.mark.parametrize(
    ("state", "count"),
    [
        (StudyState.REPORTED, 1),
        (StudyState.DELIVERED, 1),  # the series of the study without a state
        (StudyState.FAILED, 0),
        (SeriesState.NOT_SELECTED, 1),
        (SeriesState.REJECTED, 0),
    ],
)
def test_a_state_is_that_of_the_study_before_that_of_a_series(
    state: StudyState | SeriesState, count: int, sessions: Sessions, reported: None
) -> None:
    add_earlier(sessions, 1)

    with sessions.begin() as session:
        assert len(list_studies(session, Filters(), state=state, limit=5)) == count
