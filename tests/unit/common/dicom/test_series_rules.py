"""Covered: which rule of a site excludes a series, and where a refused rule is wrong."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from common.dicom.series_rules import (
    MAX_RULES,
    SeriesProperties,
    excluded_by,
    properties_of,
    read_rules,
)


def series(thickness_mm: float | None = 3.0, **texts: str) -> SeriesProperties:
    return SeriesProperties(texts, thickness_mm)


ABDOMEN = series(description="ABD cor PV", station="CT01", body_part="ABDOMEN", kernel="B30f")
LUNG = series(1.0, description="Thorax Lunge", station="CT01", kernel="B70f")
OTHER_SCANNER = series(description="ABD cor", station="CT99")


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ([], [True, True, True]),
        ([{"exclude": {"description": "lung"}}], [True, False, True]),
        ([{"exclude": {"description": "lung", "kernel": "^B3"}}], [True, True, True]),
        ([{"include": {"station": "^CT0[12]$"}}], [True, True, False]),
        ([{"include": {"station": "CT01"}}, {"include": {"station": "CT99"}}], [True] * 3),
        (
            [{"include": {"station": "CT01"}}, {"exclude": {"kernel": "B70"}}],
            [True, False, False],
        ),
        ([{"exclude": {"max_thickness_mm": 2}}], [True, False, True]),
        ([{"include": {"min_thickness_mm": 2, "max_thickness_mm": 5}}], [True, False, True]),
        ([{"include": {"description": "ABD", "max_thickness_mm": 2.9}}], [False] * 3),
        ([{"exclude": {"body_part": ".*"}}], [False, True, True]),
    ],
)
def test_which_series_may_be_screened(rules: list[Any], allowed: list[bool]) -> None:
    read = read_rules(rules)

    found = [excluded_by(read, one) is None for one in (ABDOMEN, LUNG, OTHER_SCANNER)]

    assert found == allowed


def test_a_property_that_is_not_stated_matches_no_rule() -> None:
    unknown = series(None)
    for properties in ({"max_thickness_mm": 5}, {"description": ".*"}):
        assert excluded_by(read_rules([{"exclude": properties}]), unknown) is None
        assert excluded_by(read_rules([{"include": properties}]), unknown) is not None


def test_the_excluding_rule_is_named() -> None:
    rules = read_rules([{"exclude": {"station": "CT7"}}, {"exclude": {"description": "lung"}}])

    assert excluded_by(rules, LUNG) == "rule 2 excludes it"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("lung", "must be a JSON list"),
        ({"include": {"station": "CT1"}}, "must be a JSON list"),
        ([{}], 'rule 1: must be {"include": {…}} or {"exclude": {…}}'),
        ([{"drop": {"station": "a"}}], "rule 1: must be"),
        (["lung"], "rule 1: must be"),
        ([{"include": {"station": "a"}, "exclude": {"station": "b"}}], "rule 1: must be"),
        ([{"include": {"station": "a"}}, {"exclude": {}}], "rule 2: exclude must name"),
        (
            [{"exclude": {"descriptions": "a"}}],
            "rule 1: unknown property descriptions, known",
        ),
        ([{"exclude": {"kernel": 3}}], "rule 1: kernel: must be a regular expression"),
        ([{"exclude": {"kernel": "(a+)+b"}}], "rule 1: kernel: the pattern could take long"),
        ([{"exclude": {"kernel": "["}}], "rule 1: kernel: not a regular expression"),
        (
            [{"exclude": {"min_thickness_mm": "3"}}],
            "rule 1: min_thickness_mm: must be",
        ),
        ([{"exclude": {"max_thickness_mm": True}}], "rule 1: max_thickness_mm: must be"),
        ([{"exclude": {"max_thickness_mm": -1}}], "rule 1: max_thickness_mm: must be"),
        (
            [{"exclude": {"min_thickness_mm": 5, "max_thickness_mm": 3}}],
            "rule 1: min_thickness_mm is over max_thickness_mm",
        ),
        ([{"exclude": {"kernel": "a"}}] * (MAX_RULES + 1), f"at most {MAX_RULES}"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_place(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_rules(value)


def test_properties_are_read_from_a_header_with_several_kernels_or_damaged_values() -> None:
    ds = Dataset()
    ds.SeriesDescription, ds.ConvolutionKernel = "ABD", ["Br40d", "3"]
    ds.StationName = None

    found = properties_of(ds, 3.0)

    assert found.texts["description"] == "ABD"
    assert found.texts["kernel"] == "Br40d\\3"
    assert found.texts["station"] == found.texts["protocol"] == ""
    assert excluded_by(read_rules([{"exclude": {"kernel": "^Br40"}}]), found) is not None


RECIPES = {
    "no chest, head or spine": (LUNG, ABDOMEN),
    "by body part": (series(body_part="CHEST"), ABDOMEN),
    "only two scanners": (OTHER_SCANNER, ABDOMEN),
    "only the abdomen protocols": (series(protocol="Spine"), series(protocol="Abdomen")),
    "no sharp kernels": (series(kernel="Br64d"), series(kernel="Br40d")),
    "no thin source series": (series(1.0), series(3.0)),
    "only coronal reformats of the site": (series(5.0, description="Decor"), ABDOMEN),
}
"""Recipe of docs/deployment.md → a series that it excludes, and one that it does not."""


def test_the_recipes_of_the_deployment_page_do_what_they_say() -> None:
    page = (Path(__file__).parents[4] / "docs/deployment.md").read_text()
    recipes = dict(re.findall(r'^([a-z][a-z, ]+?) {2,}({"(?:include|exclude).*)$', page, re.M))

    assert set(recipes) == set(RECIPES)
    for name, (excluded, allowed) in RECIPES.items():
        rules = read_rules([json.loads(recipes[name])])
        assert excluded_by(rules, excluded) is not None, name
        assert excluded_by(rules, allowed) is None, name
    (example,) = re.findall(r"^OSTEOSCREEN_SERIES_RULES='(.*)'$", page, re.M)
    assert len(read_rules(json.loads(example))) == 2
