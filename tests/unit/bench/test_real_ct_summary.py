"""Covered: figures of the renderings of a real hip, from readings that are computed by hand."""

import json
import math
from dataclasses import asdict

import pytest

from tests.bench.real_ct import renderings
from tests.bench.real_ct_summary import HipReading, differences, summarize, table

NORMAL = {"normal": 0.6, "osteopenia": 0.3, "osteoporosis": 0.1}
POROTIC = {"normal": 0.2, "osteopenia": 0.3, "osteoporosis": 0.5}

READINGS = [
    HipReading("a R", "one", "coronal", 3, None, 1.0, 104.0, NORMAL, 1.2),
    HipReading("a R", "two", "axial", 1, None, 2.0, 100.0, NORMAL, 1.0),
    HipReading("a R", "three", "axial", 5, None, 0.5, 108.0, POROTIC, 1.5),
    HipReading("a R", "four", "axial", 3, "OUT_OF_DISTRIBUTION", 0.5, None, POROTIC, 2.25),
    HipReading("a L", "one", "coronal", 3, None, 1.0, 110.0, POROTIC, 1.0),
    HipReading("a L", "two", "axial", 1, "NO_FEMUR"),
]


def test_spread_of_a_hip_over_its_renderings() -> None:
    hip = summarize(READINGS)["a R"]

    assert (hip.renderings, hip.graded, hip.refused) == (4, 3, {"OUT_OF_DISTRIBUTION": 1})
    assert (hip.neck_measured, hip.neck_hu, hip.head_off_mm) == (3, 104.0, 2.0)
    assert hip.neck_cv_percent == pytest.approx(100 * 4 / 104)
    # The thinnest series is the axial one of 1 mm.
    assert (hip.neck_bias_hu, hip.neck_worst_hu) == (4.0, 8.0)
    assert hip.changed == pytest.approx(1 / 3)
    # Two of each: half of the difference, times the root of 4 / 3.
    assert hip.p_sd == pytest.approx(0.2 * math.sqrt(4 / 3))
    assert hip.logit_sd == pytest.approx(math.log(9) / 2 * math.sqrt(4 / 3))
    assert hip.distance == (1.0, 2.25)
    assert json.loads(json.dumps(asdict(hip)))["refused"] == {"OUT_OF_DISTRIBUTION": 1}


def test_left_and_right_are_compared_in_the_same_rendering() -> None:
    assert differences(READINGS) == {"a": {"neck_hu": 6.0, "p_osteoporosis": 0.4}}


def test_table_has_a_line_for_each_hip_and_dashes_for_what_is_unknown() -> None:
    lines = table(summarize(READINGS)).splitlines()

    assert lines[2].startswith("| a R | 3/4 | 1 OUT_OF_DISTRIBUTION | 2.0 | 104 | 3.8 | 4.0 |")
    assert lines[3].startswith("| a L | 1/2 | 1 NO_FEMUR | 1.0 | – | – |")


def test_renderings_are_24_and_differ() -> None:
    assert len({one.name for one in renderings()}) == 24
