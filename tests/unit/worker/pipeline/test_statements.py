"""Covered: the sentences and percentages that SR and SC share."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import EnhancedCTImageStorage

from tests.support.factories import make_ct_headers, make_screening
from tests.support.report_cases import CASES, METAL, as_frames, composed
from worker.pipeline import statements
from worker.pipeline.image_numbers import image_of
from worker.pipeline.results import Grade, Hip


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.000001, "<1 %"), (0.0049, "<1 %"), (0.0051, "1 %"), (0.356, "36 %"),
        (0.346, "35 %"), (0.9949, "99 %"), (0.9951, ">99 %"), (0.0, "0 %"), (1.0, "100 %"),
    ],
)  # fmt: skip
def test_percents_are_rounded_plainly_and_only_certainty_is_0_or_100(
    probability: float, text: str
) -> None:
    assert statements.percent_text(probability) == text


def test_reason_is_a_sentence() -> None:
    for text in ("metal at the hip", "Metal at the hip.", "metal at the hip."):
        hip = Hip("L", reason=replace(METAL, text=text))

        assert statements.reason_text(hip) == "Metal at the hip."
    assert statements.reason_text(Hip("L")) == "No reason was recorded."


@pytest.mark.parametrize(
    ("instance_numbers", "numbers"),
    [
        (range(1, 13), ["5", "9"]),
        (range(101, 125, 2), ["5", "9"]),
        (range(12, 0, -1), ["8", "4"]),
        ([None] * 12, ["5", "9"]),
    ],
    ids=["from 1", "from 101 with gaps", "backward", "none"],
)
def test_image_is_numbered_as_viewers_count_it(
    instance_numbers: Sequence[int | None], numbers: list[str]
) -> None:
    """Viewers sort by Instance Number and count from 1."""
    headers = make_ct_headers()
    for header, number in zip(headers, instance_numbers, strict=True):
        header.InstanceNumber = number
    screening = make_screening(headers, planes=(4, 8))

    names = [statements.plane_name(screening, hip) for hip in screening.hips]
    assert names == [f"image {number}" for number in numbers]
    assert [str(image_of(screening, hip)) for hip in screening.hips] == numbers
    right, left = numbers
    assert statements.images_read(screening) == (
        f"Read: right hip image {right}; left hip image {left}."
    )


def test_frame_of_a_multi_frame_instance_is_its_image() -> None:
    headers = as_frames(make_ct_headers(), EnhancedCTImageStorage)
    screening = make_screening(headers, planes=(5, 5))

    assert statements.images_read(screening) == "Read: both hips image 6."


def test_reformat_names_the_axial_image_through_the_neck() -> None:
    screening = CASES["axial"]()
    headers = screening.headers
    heights = [float(header.ImagePositionPatient[2]) for header in headers]
    hip = screening.hips[0]
    assert hip.femur is not None
    nearest = int(np.abs(np.array(heights) - hip.femur.neck_mm[2]).argmin())

    assert statements.images_read(screening).startswith(
        f"Read: right hip coronal reformat 63, neck on axial image {nearest + 1}; left hip "
    )


def test_images_of_two_series_have_the_number_of_their_series() -> None:
    screening = composed(make_screening(planes=(4, 8)), make_screening(planes=(4, 8)))

    assert statements.images_read(screening) == (
        "Read: right hip series 4 image 5; left hip series 7 image 9."
    )


@pytest.mark.parametrize(
    ("probabilities", "doubt"),
    [
        ((0.1, 0.7, 0.2), ""),
        ((0.1, 0.55, 0.35), "uncertain: may be osteoporosis"),
        ((0.45, 0.5, 0.05), "uncertain: may be normal"),
    ],
)
def test_grade_with_a_nearly_as_likely_one_is_uncertain(
    probabilities: tuple[float, float, float], doubt: str
) -> None:
    hip = make_screening(right=Grade.OSTEOPENIA).hips[0]
    hip = replace(hip, probabilities=dict(zip(Grade, probabilities, strict=True)))

    assert statements.uncertainty_remark(hip) == doubt
    assert ("uncertain" in statements.hip_sentence(hip)) is bool(doubt)


def test_value_that_cannot_be_read_is_not_called_absent() -> None:
    headers = make_ct_headers(PatientSize=None, PatientWeight="0")
    for header in headers:
        tag = Tag("PatientSize")
        header[tag] = RawDataElement(tag, "DS", 4, b"1,70", 0, False, True)

    sentence = statements.demographics(make_screening(headers))

    assert sentence.endswith("Not in the source header: weight.")
