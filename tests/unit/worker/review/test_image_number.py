"""Covered: page and picture name the same image and the same numbers, digit by digit."""

from dataclasses import asdict

import pytest

from db.models import HipResult
from tests.support.factories import make_screening
from tests.support.report_cases import CASES, OUT_OF_DISTRIBUTION
from worker.pipeline import statements
from worker.pipeline.capture.result_picture import draw_result
from worker.pipeline.capture.typeset import Page
from worker.pipeline.result_json import to_json
from worker.pipeline.results import Rejected, Screening
from worker.review.formatting import percent
from worker.review.rendering import make_templates
from worker.review.result_view import probabilities
from worker.screening.rows import hip_row


def read_on(entry: dict[str, object]) -> str:
    parts = make_templates().get_template("_parts.html").module
    return " ".join(str(parts.read_on(entry)).split())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "screening",
    [
        make_screening(planes=(4, 8)),
        CASES["axial"](),
        CASES["axial, planes turned apart"](),
        CASES["coronal and axial series"](),
    ],
)
def test_image_is_that_of_the_report(screening: Screening) -> None:
    right, left = (read_on(hip["slice"]) for hip in to_json(screening)["hips"])

    assert statements.images_read(screening) == f"Read: right hip {right}; left hip {left}."


@pytest.mark.parametrize("case", ["two planes", "axial", "axial, planes turned apart"])
def test_numbers_of_the_picture_are_those_of_the_page(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    draw = Page.text

    def noted(page: Page, words: str, *args: object, **kwargs: object) -> int:
        drawn.append(words)
        return draw(page, words, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Page, "text", noted)
    screening = CASES[case]()
    draw_result(screening)

    entries = to_json(screening)["hips"]
    for hip, entry in zip(screening.hips, entries, strict=True):
        row = HipResult(**asdict(hip_row(hip)))
        assert {percent(value) for value in probabilities(row).values()} <= set(drawn)
        assert f"Neck {row.neck_hu:.0f} ± {row.neck_sd_hu:.0f} HU" in drawn
        assert any(f"image {entry['slice']['image']}" in words for words in drawn)


def test_page_states_turn_and_series_as_the_picture_does() -> None:
    turned, two = (
        [read_on(hip["slice"]) for hip in to_json(CASES[case]())["hips"]]
        for case in ("axial, planes turned apart", "coronal and axial series")
    )

    assert [name.partition(",")[0].partition(" turned ")[2] for name in turned] == [
        "by 21°",
        "by 9°",
    ]
    assert [name.partition(" image")[0].partition(" coronal")[0] for name in two] == [
        "series 4",
        "series 7",
    ]


def test_result_without_a_name_has_its_image() -> None:
    entry: dict[str, object] = {"index": 6, "image": 9, "source_sop_uid": "1.2"}

    assert read_on(entry) == "image 9"
    assert read_on(entry | {"source_sop_uid": None}) == (
        "coronal reformat 7, neck on axial image 9"
    )


def test_hip_of_a_rejected_series_has_no_number_that_no_viewer_shows() -> None:
    (hip, *_) = make_screening().hips
    rejected = Rejected("1.2", OUT_OF_DISTRIBUTION, hips=(hip,))

    assert read_on(to_json(rejected)["hips"][0]["slice"]) == ""


def test_result_of_an_earlier_version_has_its_slice() -> None:
    entry: dict[str, object] = {"index": 6, "source_sop_uid": "1.2"}

    assert read_on(entry) == "slice 7"
    assert read_on(entry | {"source_sop_uid": None}) == "coronal reformat 7"
