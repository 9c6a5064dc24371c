"""Covered: the minimum age, the opt-out list, and the file of the list.
Not covered: forms of ages and dates in detail (test_patient_values)."""

from pathlib import Path

import pytest
from pydicom import Dataset

from tests.support.ct_volume import alter
from tests.support.rule_results import rejection
from worker.patient_rules import read_opt_out_list
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.validation.patient import ALL_ADULTS, PatientRules, opted_out, too_young


def header(**elements: object) -> Dataset:
    ds = Dataset()
    for keyword, value in elements.items():
        alter(ds, keyword, value)
    return ds


@pytest.mark.parametrize(
    ("elements", "accepted"),
    [
        ({"PatientAge": "017Y"}, False),
        ({"PatientAge": "018Y"}, True),
        ({"PatientAge": "200M"}, False),
        ({"PatientAge": "230M"}, True),
        ({"PatientAge": "040W"}, False),
        ({"PatientAge": "012"}, False),
        (
            {"PatientAge": None, "PatientBirthDate": "2011.05.05", "StudyDate": "20230601"},
            False,
        ),
        ({"PatientAge": None, "PatientBirthDate": "1951-05-05", "StudyDate": "20230601"}, True),
        ({"PatientAge": None, "PatientBirthDate": "20110505", "SeriesDate": "20230601"}, False),
        ({"PatientAge": None, "PatientBirthDate": "2011", "StudyDate": "20230601"}, False),
        ({"PatientAge": None, "PatientBirthDate": "1950", "StudyDate": "20230601"}, True),
        ({"PatientAge": None}, True),
        ({"PatientAge": "old"}, True),
        ({"PatientAge": None, "PatientBirthDate": "20050601", "StudyDate": "20230530"}, False),
        ({"PatientAge": None, "PatientBirthDate": "20050601", "StudyDate": "20230603"}, True),
        ({"PatientAge": "", "PatientBirthDate": "20231350", "StudyDate": "20230603"}, True),
        (
            {"PatientAge": "064Y", "PatientBirthDate": "20150601", "StudyDate": "20230603"},
            False,
        ),
    ],
)
@pytest.mark.covers("H15")
def test_patients_under_eighteen_are_rejected(
    elements: dict[str, object], accepted: bool
) -> None:
    reason = rejection(too_young([header(**elements)], ALL_ADULTS))

    assert (reason is None) is accepted
    assert reason is None or reason.code is ReasonCode.TOO_YOUNG


def test_one_image_of_a_child_is_enough() -> None:
    headers = [header(PatientAge="064Y"), header(PatientAge="012Y"), header()]

    assert too_young(headers, ALL_ADULTS) == Reason(
        ReasonCode.TOO_YOUNG, "The patient is younger than 18 years by PatientAge."
    )


def test_a_site_can_raise_the_minimum_age() -> None:
    fifty = PatientRules(min_age_years=50)

    assert rejection(too_young([header(PatientAge="050Y")], fifty)) is None
    reason = rejection(too_young([header(PatientAge="049Y")], fifty))
    assert reason is not None
    assert reason.text == "The patient is younger than 50 years by PatientAge."


@pytest.mark.parametrize(
    ("patient_id", "listed"),
    [("P1", True), (" P1 ", True), ("P11", False), ("p1", False), ("", False), (None, False)],
)
def test_a_patient_on_the_list_is_rejected(patient_id: str | None, listed: bool) -> None:
    headers = [header(), header() if patient_id is None else header(PatientID=patient_id)]

    reason = rejection(opted_out(headers, PatientRules(opted_out=frozenset({"P1", "P2"}))))

    assert (reason is not None) is listed
    assert reason is None or reason.code is ReasonCode.OPTED_OUT
    assert reason is None or "P1" not in reason.text


def test_the_list_has_one_patient_id_a_line(tmp_path: Path) -> None:
    path = tmp_path / "opt-out.txt"
    path.write_bytes(b"\xef\xbb\xbf# by telephone\r\nP1\r\n\r\n  0815 \nM\xc3\xbcller^1\n")

    assert read_opt_out_list(path) == {"P1", "0815", "Müller^1"}


def test_the_ids_of_the_list_are_not_printed() -> None:
    assert "P1" not in repr(PatientRules(opted_out=frozenset({"P1"})))
