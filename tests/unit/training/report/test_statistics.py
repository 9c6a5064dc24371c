"""Statistics of Table 1: choice of the test, p-values against SciPy, counts of patients."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests.support.hips_factory import make_hips
from training.report.statistics import compare, table_1


def groups(sds: tuple[float, float, float], means: tuple[float, float, float] = (0, 1, 2)):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    return [rng.normal(m, sd, 60) for m, sd in zip(means, sds, strict=True)]


def test_equal_variances_are_compared_by_anova() -> None:
    data = groups((1, 1, 1))

    found = compare("age", data)

    assert found.test == "ANOVA"
    assert found.p == pytest.approx(stats.f_oneway(*data).pvalue)
    assert found.levene_p == pytest.approx(stats.levene(*data).pvalue)
    assert found.groups == tuple(f"{g.mean():.1f} ± {g.std(ddof=1):.1f}" for g in data)


def test_unequal_variances_are_compared_by_welch_and_games_howell() -> None:
    data = groups((0.3, 1, 4))

    found = compare("age", data)

    assert found.test == "Welch"
    assert found.levene_p is not None
    assert found.levene_p < 0.05
    expected = stats.tukey_hsd(*data, equal_var=False).pvalue  # Games–Howell
    assert [name for name, _ in found.pairs] == [
        "normal – osteopenia",
        "normal – osteoporosis",
        "osteopenia – osteoporosis",
    ]
    assert [p for _, p in found.pairs] == pytest.approx(
        [expected[0, 1], expected[0, 2], expected[1, 2]], abs=2e-3
    )


def test_similar_grades_are_not_compared_in_pairs() -> None:
    found = compare("age", groups((1, 1, 1), (0, 0, 0)))

    assert found.p >= 0.05
    assert found.pairs == ()


def test_table_counts_each_patient_once_with_the_worst_grade() -> None:
    # Per grade four patients: three women and one man, of 40, 50, 60 and 70 years.
    records = [
        replace(
            make_hips(1, 0, t_scores=(t_score,)).records[0],
            patient=f"{grade}-{number}",
            scan=f"{grade}-{number}-{scan}",
            sex="M" if number == 0 else "F",
            age=40.0 + 10 * number + 10 * grade,
        )
        for grade, worst in enumerate((0.0, -1.8, -3.5))
        for number in range(4)
        # Further scans of the women must not change any share, mean or grade.
        for scan in range(1 if number == 0 else 3)
        for t_score in ((worst,) if scan == 0 else (worst, 0.5))
    ]

    rows = {row.name: row for row in table_1(records)}

    # Height and weight are equal for all patients, so they have no test.
    assert list(rows) == ["sex", "age"]
    assert rows["sex"].groups == ("75.0 % women",) * 3
    assert rows["sex"].test == "chi²"
    assert rows["sex"].p == pytest.approx(1.0)
    assert rows["age"].groups == ("55.0 ± 12.9", "65.0 ± 12.9", "75.0 ± 12.9")
    ages = [[40 + 10 * n + 10 * grade for n in range(4)] for grade in range(3)]
    assert rows["age"].p == pytest.approx(stats.f_oneway(*ages).pvalue)


def test_sex_is_compared_by_chi_squared() -> None:
    records = make_hips(90, 1).records
    women = (24, 15, 6)  # of 30 patients of each grade
    order = {"normal": 0, "osteopenia": 1, "osteoporosis": 2}
    seen = [0, 0, 0]
    changed = []
    for record in records:
        grade = order[record.grade.value]
        changed.append(replace(record, sex="F" if seen[grade] < women[grade] else "M"))
        seen[grade] += 1

    row = table_1(changed)[0]

    assert seen == [30, 30, 30]
    assert row.groups == ("80.0 % women", "50.0 % women", "20.0 % women")
    assert row.p == pytest.approx(stats.chi2_contingency([[24, 6], [15, 15], [6, 24]]).pvalue)
