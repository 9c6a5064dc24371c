"""The tables of the report; every number of the paper in it is marked as the paper's."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from training.bayes_limit import bayes_limit
from training.dataset import patient_grades
from training.measures import (
    OVERALL,
    accuracy,
    calibration_floor,
    macro_auc,
    paired_difference,
    patient_draws,
    said,
)
from training.results import Results
from training.statistics import table_1
from worker.model import GRADES

# Ha 2024, Table 1: age, share of women, height, weight, BMI of the three grades.
PUBLISHED_1 = {
    "sex": ("72.8 % women", "85.5 % women", "78.4 % women"),
    "age": ("36.6 ± 15.6", "62.5 ± 11.9", "76.5 ± 9.6"),
    "height_m": ("1.6 ± 0.1", "1.6 ± 0.1", "1.5 ± 0.1"),
    "weight_kg": ("64.2 ± 13.6", "59.7 ± 9.7", "53.7 ± 9.1"),
    "bmi": ("24.1 ± 4.4", "24.5 ± 3.7", "23.0 ± 3.7"),
}
# Ha 2024, Table 2: ACC, sensitivity, specificity, precision, F1, macro AUC.
PUBLISHED_2 = {
    "image": (".794", ".795", ".897", ".801", ".798", ".933"),
    "clinical": (".689", ".690", ".844", ".692", ".691", ".859"),
    "multi-modal": (".802", ".802", ".901", ".804", ".803", ".939"),
}
# Ha 2024, Table 3: AUC and ACC of pairs of grades.
PUBLISHED_3 = (".91 / .82", ".99 / .97", ".93 / .86")
RIVALS = (
    (("osteoscreen", "image"), ("paper-image", "image")),
    (("osteoscreen", "both"), ("paper-multimodal", "both")),
)


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text; a row that begins with Ha 2024 is the paper's."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def before_figures(results: Results) -> list[Table]:
    """All tables, in the paper's order and then ours."""
    tables = [demographics(results), overall(results), pairs(results)]
    if (found := differences(results)).rows:
        tables.append(found)
    if all(summary["training"]["simulated"] for summary in results.summaries.values()):
        tables.append(limits())
    return tables


def demographics(results: Results) -> Table:
    """Table 1."""
    rows = []
    for row in table_1(results.records):
        which = "; ".join(f"{pair} {_p(p)}" for pair, p in row.pairs)
        levene = "" if row.levene_p is None else f" (Levene {_p(row.levene_p)})"
        rows.append([row.name, *row.groups, row.test + levene, _p(row.p), which])
        rows.append([f"Ha 2024: {row.name}", *PUBLISHED_1[row.name], "", "", ""])
    patients = len({record.patient for record in results.records})
    grades = [grade for _, grade in dict(_patients(results)).items()]
    count = ", ".join(f"{grades.count(grade)} {grade.value}" for grade in GRADES)
    return Table(
        "Table 1: who is in the data",
        ["", *(grade.value for grade in GRADES), "test", "p", "Games–Howell"],
        rows,
        f"{patients} patients ({count}), {len(results.records)} labelled hips, one entry a "
        "patient. Means ± SD; Levene's test decides between ANOVA and Welch's.",
    )


def _patients(results: Results) -> Sequence[tuple[str, object]]:
    grades = patient_grades(results.records)
    return [(r.patient, grade) for r, grade in zip(results.records, grades, strict=True)]


def overall(results: Results) -> Table:
    """Table 2."""
    rows = [
        [
            one.name, f"{one.parameters:,}",
            *(said(one.measured[name]) for name in OVERALL),
            f"{one.measured['ece']:.3f}",
            f"{calibration_floor(one.probabilities, np.random.default_rng(6)):.3f}",
        ]
        for one in results.answers
    ]  # fmt: skip
    rows += [[f"Ha 2024: {name}", "", *row, "", ""] for name, row in PUBLISHED_2.items()]
    columns = ["model", "parameters", "ACC", "sensitivity", "specificity", "precision", "F1"]
    return Table(
        "Table 2: all grades",
        [*columns, "macro AUC", "ECE", "ECE if exactly calibrated"],
        rows,
        "Unweighted means over the grades. ECE: 15 bins of the most probable grade; so few "
        "hips leave an error even to probabilities that are exactly right: the last column.",
    )


def pairs(results: Results) -> Table:
    """Table 3."""
    names = [
        f"{GRADES[a].value}/{GRADES[b].value}" for a, b in combinations(range(len(GRADES)), 2)
    ]
    rows = [
        [
            one.name,
            *(
                f"{said(one.measured['pairs'][name]['auc'])} / "
                f"{said(one.measured['pairs'][name]['accuracy'])}"
                for name in names
            ),
        ]
        for one in results.answers
    ]
    rows.append(["Ha 2024", *PUBLISHED_3])
    return Table("Table 3: two grades each, AUC / ACC", ["model", *names], rows)


def differences(results: Results) -> Table:
    """Ours against the paper's networks on the same hips."""
    draws = patient_draws(results.test.patients, np.random.default_rng(9))
    rows = []
    for ours, theirs in RIVALS:
        first, second = results.find(*ours), results.find(*theirs)
        if first is None or second is None:
            continue
        cells = [
            said(
                paired_difference(
                    first.probabilities, second.probabilities, results.expected, draws, measure
                ),
                sign="+",
            )
            for measure in (accuracy, macro_auc)
        ]
        share = f"{100 * first.parameters / second.parameters:.1f} %"
        rows.append([f"{first.name} − {second.name}", *cells, share])
    return Table(
        "Paired differences on the same hips",
        ["", "ACC", "macro AUC", "parameters of ours in those of theirs"],
        rows,
        "Each bootstrap sample of patients asks both models.",
    )


def limits() -> Table:
    """What cannot be passed on simulated data."""
    rows = [
        [name, f"{found['accuracy']:.3f}", f"{found['macro_auc']:.3f}"]
        for name, found in bayes_limit().items()
    ]
    return Table(
        "What no model can pass (Bayes)",
        ["who knows exactly", "ACC", "macro AUC"],
        rows,
        "Grades from the simulator's own density values of the measured hip, read without "
        "error, over 6,000 simulated patients. Noise, tube voltage, contrast medium and "
        "partial volume lower what a picture can give.",
    )


def _p(value: float) -> str:
    return "–" if np.isnan(value) else "p < .001" if value < 0.001 else f"p = {value:.3f}"
