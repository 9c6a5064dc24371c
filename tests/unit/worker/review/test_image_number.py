"""Covered: the image that the page of a series names is that of report and picture."""

import pytest

from tests.support.factories import make_screening
from tests.support.report_cases import CASES
from worker.pipeline import statements
from worker.pipeline.result_json import to_json
from worker.pipeline.results import Screening
from worker.review.rendering import make_templates


def read_on(entry: dict[str, object]) -> str:
    parts = make_templates().get_template("_parts.html").module
    return " ".join(str(parts.read_on(entry)).split())  # type: ignore[attr-defined]


@pytest.mark.parametrize("screening", [make_screening(planes=(4, 8)), CASES["axial"]()])
def test_image_is_that_of_the_report(screening: Screening) -> None:
    right, left = (read_on(hip["slice"]) for hip in to_json(screening)["hips"])

    assert statements.images_read(screening) == f"Read: right hip {right}; left hip {left}."


def test_result_of_an_earlier_version_has_its_slice() -> None:
    entry: dict[str, object] = {"index": 6, "source_sop_uid": "1.2"}

    assert read_on(entry) == "slice 7"
    assert read_on(entry | {"source_sop_uid": None}) == "coronal reformat 7"
