"""Covered: the sentences about a measured spine, alone and beside a grade."""

from dataclasses import replace
from datetime import date

import pytest

from tests.support.factories import MODEL, make_screening
from tests.support.spine_results import make_lumbar, make_spine_screening
from worker.pipeline import statements
from worker.pipeline.impression import impression, qualifications, recommendation
from worker.pipeline.lumbar_results import LumbarMeasurements, Region
from worker.pipeline.lumbar_statements import (
    contradiction,
    is_under_specific_limit,
    lumbar_line,
)
from worker.pipeline.measurement_only import no_model
from worker.pipeline.previous import PreviousHip, PreviousResult
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.results import Grade, Hip, NeckNotMeasured
from worker.pipeline.spine.validity import read_limits

CLINICAL = replace(MODEL, simulated=False)
LONGEST = 250
"""Three lines of the picture at 25 px or more."""


def with_l1(mean_hu: float, **attributes: object) -> LumbarMeasurements:
    """Return measurements whose L1 has exactly this mean."""
    lumbar = make_lumbar(**attributes)  # type: ignore[arg-type]
    first, *others = lumbar.measurements
    assert isinstance(first.vertebra.region, Region)
    region = replace(first.vertebra.region, mean_hu=mean_hu)
    vertebra = replace(first.vertebra, region=region)
    limits = read_limits(vertebra, mean_hu, lumbar.conditions)
    return replace(
        lumbar, measurements=(replace(first, vertebra=vertebra, limits=limits), *others)
    )


@pytest.mark.parametrize(
    ("mean_hu", "line"),
    [
        (104.2, "L1 104 HU: ≤ 110, Pickhardt 2013"),
        (110.4, "L1 110 HU: ≤ 110, Pickhardt 2013"),
        (110.6, "L1 111 HU: ≤ 160, Pickhardt 2013"),
        (172.0, "L1 172 HU: > 160, Pickhardt 2013"),
    ],
)
def test_line_names_the_limit_that_tells_most(mean_hu: float, line: str) -> None:
    screening = make_spine_screening(with_l1(mean_hu))
    assert lumbar_line(screening) == line
    hips = "; hips not graded (not in the field of view)"
    rule_out = "" if mean_hu < 110.5 else "; this does not exclude osteoporosis"
    assert impression(screening) == f"{line}{hips}{rule_out}."
    assert is_under_specific_limit(screening) == (mean_hu < 110.5)


@pytest.mark.covers("H19")
def test_limit_that_does_not_hold_is_not_read() -> None:
    screening = make_spine_screening(with_l1(104.0, KVP=140))
    assert lumbar_line(screening) == (
        "L1 104 HU; Pickhardt 2013 does not apply: tube voltage 140 kV, 120 kV needed"
    )
    assert not is_under_specific_limit(screening)
    assert "does not exclude osteoporosis" in impression(screening)


def test_impression_names_the_first_of_several_reasons_and_the_next_sentence_all() -> None:
    lumbar = with_l1(104.0, KVP=140, ConvolutionKernel="B70f")
    screening = make_spine_screening(lumbar)
    all_reasons = "tube voltage 140 kV, 120 kV needed; sharp reconstruction kernel"

    assert impression(screening).startswith(
        "L1 104 HU; Pickhardt 2013 does not apply: tube voltage 140 kV, 120 kV needed, among "
        "others; hips not graded"
    )
    median = "Median of L1, L2, L3, L4: 115 HU."
    assert list(qualifications(screening)) == [
        f"Pickhardt 2013 does not apply: {all_reasons}.", median
    ]  # fmt: skip
    graded = replace(make_screening(model=CLINICAL), lumbar=lumbar)
    assert all_reasons in next(iter(qualifications(graded)))
    assert list(qualifications(make_spine_screening(with_l1(104.0, KVP=140)))) == [median]


def test_longest_impression_of_a_spine_is_within_the_limit() -> None:
    spine = make_spine_screening(
        with_l1(104.0, KVP=None, SliceThickness=None, ConvolutionKernel="B70f")
    )
    metal = Hip("R", Reason(ReasonCode.METAL, "metal at the hip"))
    measured = Hip("L", no_model(NeckNotMeasured("It is cut.")))
    earlier = PreviousResult(
        date(2025, 1, 2), Grade.OSTEOPOROSIS, "another model", "1", "00" * 32,
        dict.fromkeys("RL", PreviousHip(Grade.OSTEOPOROSIS)),
    )  # fmt: skip
    text = impression(replace(spine, hips=(metal, measured)), [earlier])

    assert text == (
        "L1 104 HU; Pickhardt 2013 does not apply: tube voltage not stated, 120 kV needed, "
        "among others; hips not graded (right hip: metal, earlier osteoporosis; left hip: no "
        "model is installed, earlier osteoporosis); this does not exclude osteoporosis."
    )
    assert len(text) <= LONGEST


@pytest.mark.parametrize(
    ("right", "left", "words"),
    [
        (Grade.OSTEOPOROSIS, Grade.OSTEOPOROSIS, "; both hips earlier osteoporosis"),
        (Grade.OSTEOPENIA, Grade.NORMAL, "; right hip earlier osteopenia"),
        (
            Grade.OSTEOPENIA,
            Grade.OSTEOPOROSIS,
            "; right hip earlier osteopenia; left hip earlier osteoporosis",
        ),
        (Grade.NORMAL, None, ""),
    ],
)
def test_earlier_grades_stay_in_view_where_both_hips_have_one_reason(
    right: Grade, left: Grade | None, words: str
) -> None:
    hips = {"R": PreviousHip(right), "L": PreviousHip(left)}
    earlier = PreviousResult(date(2025, 1, 2), right, "another model", "1", "00" * 32, hips)

    assert impression(make_spine_screening(), [earlier]) == (
        f"L1 104 HU: ≤ 110, Pickhardt 2013; hips not graded (not in the field of view{words})."
    )


def test_vertebrae_without_a_published_limit_are_named_without_one() -> None:
    screening = make_spine_screening(make_lumbar(dense=("L1",)))
    line = lumbar_line(screening)
    assert line.startswith("L2 110 HU, L3 120 HU, L4 131 HU")
    assert line.endswith("(no published limit is used)")


def test_reasons_of_hips_stand_in_the_impression() -> None:
    metal = Hip("L", Reason(ReasonCode.METAL, "metal at the hip"))
    screening = make_spine_screening()
    words = impression(replace(screening, hips=(screening.hips[0], metal)))
    assert words.endswith("hips not graded (right hip: not found; left hip: metal).")


def test_result_without_a_grade_claims_no_model() -> None:
    screening = make_spine_screening()
    assert "Demonstration" not in statements.notice(screening.model)
    assert statements.demographics(screening).startswith("No model")
    assert "WHO category" not in statements.limitations(screening)
    assert recommendation(screening) == ""


@pytest.mark.parametrize("grade", [Grade.NORMAL, Grade.OSTEOPOROSIS])
def test_uncertain_level_stands_beside_a_grade_and_contradicts_nothing(grade: Grade) -> None:
    """L2 to L5 of six vertebrae, painted with 60 HU: the low side of the limits of L1."""
    lumbar = make_lumbar(dict.fromkeys(("L2", "L3", "L4", "L5"), 60.0), vertebrae=6)
    screening = replace(make_screening(right=grade, left=grade, model=CLINICAL), lumbar=lumbar)
    assert lumbar_line(screening) == ""
    assert not is_under_specific_limit(screening)
    assert contradiction(screening) == ""
    line, *others = qualifications(screening)
    assert line == (
        "Lumbar spine, level uncertain: median 59 HU of 4 vertebrae (sacrum and last ribs give "
        "different levels); no published limit applies."
    )
    alone = replace(screening, lumbar=None)
    assert impression(screening) == impression(alone)
    assert others == list(qualifications(alone))


def test_median_stands_beside_l1() -> None:
    screening = make_spine_screening()
    assert list(qualifications(screening)) == ["Median of L1, L2, L3, L4: 115 HU."]
    graded = replace(make_screening(model=CLINICAL), lumbar=make_lumbar())
    beside, *_ = qualifications(graded)
    assert beside.endswith("Pickhardt 2013. Median of L1, L2, L3, L4: 115 HU.")


@pytest.mark.parametrize(
    ("mean_hu", "kvp", "grade", "contradicts"),
    [
        (104.0, 120, Grade.NORMAL, True),
        (104.0, 140, Grade.NORMAL, False),
        (130.0, 120, Grade.NORMAL, False),
        (104.0, 120, Grade.OSTEOPOROSIS, False),
        (172.0, 120, Grade.OSTEOPOROSIS, True),
        (130.0, 120, Grade.OSTEOPOROSIS, False),
        (172.0, 120, Grade.OSTEOPENIA, False),
    ],
)
def test_contradiction_of_grade_and_measurement_is_said(
    mean_hu: float, kvp: int, grade: Grade, contradicts: bool
) -> None:
    screening = replace(
        make_screening(right=grade, left=grade, model=CLINICAL),
        lumbar=with_l1(mean_hu, KVP=kvp),
    )
    assert bool(contradiction(screening)) == contradicts
    beside, *others = qualifications(screening)
    assert beside.startswith(f"Lumbar spine, measured without the model: L1 {mean_hu:.0f} HU")
    assert (contradiction(screening) in others) == contradicts
