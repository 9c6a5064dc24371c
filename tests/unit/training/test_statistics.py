"""Covered: which test is chosen, against SciPy's own; the limit that no model can pass."""

import numpy as np
import pytest
from scipy import stats

from tests.hips_factory import make_hips
from training.bayes_limit import bayes_limit
from training.statistics import compare, table_1


def groups(sds: tuple[float, float, float], means: tuple[float, float, float] = (0, 1, 2)):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    return [rng.normal(m, sd, 60) for m, sd in zip(means, sds, strict=True)]


def test_equal_variances_are_compared_by_anova() -> None:
    data = groups((1, 1, 1))

    found = compare("age", data)

    assert found.test == "ANOVA"
    assert found.p == pytest.approx(stats.f_oneway(*data).pvalue)


def test_unequal_variances_are_compared_by_welch_and_games_howell() -> None:
    data = groups((0.3, 1, 4))

    found = compare("age", data)

    assert found.test == "Welch"
    assert found.levene_p is not None
    assert found.levene_p < 0.05
    expected = stats.tukey_hsd(*data, equal_var=False).pvalue  # Games–Howell
    assert [p for _, p in found.pairs] == pytest.approx(
        [expected[0, 1], expected[0, 2], expected[1, 2]], abs=2e-3
    )


def test_grades_that_are_alike_are_not_compared_in_pairs() -> None:
    assert compare("age", groups((1, 1, 1), (0, 0, 0))).pairs == ()


def test_table_counts_each_patient_once() -> None:
    hips = make_hips(60, 1, hips_of_a_patient=2)

    rows = {row.name: row for row in table_1(hips.records)}

    assert set(rows) >= {"sex", "age"}
    assert rows["sex"].test == "chi²"


def test_more_knowledge_raises_the_limit_and_none_reaches_one() -> None:
    limit = bayes_limit(600)

    density, both = limit["density"], limit["density and demographics"]
    assert 0.8 < density["accuracy"] < both["accuracy"] < 0.98
    assert limit["demographics"]["accuracy"] < density["accuracy"]
    assert density["macro_auc"] < both["macro_auc"] < 1
