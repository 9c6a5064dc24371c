"""Tables of the report; rows with numbers of the paper are marked as such."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from training.cohort.record_parts import patient_grades
from training.evaluate.measures import (
    OVERALL,
    accuracy,
    calibration_floor,
    format_interval,
    macro_auc,
    paired_difference,
    patient_draws,
)
from training.report.bayes_limit import bayes_limit
from training.report.results import Results
from training.report.statistics import table_1
from worker.pipeline.model.networks import GRADES

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
COMPARED_MODELS = (
    (("osteoscreen", "image"), ("paper-image", "image")),
    (("osteoscreen", "both"), ("paper-multimodal", "both")),
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text cells; a row that begins with "Ha 2024" has numbers of the paper."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def all_tables(results: Results) -> list[Table]:
    """Return all tables: those of the paper in its order, then further ones."""
    tables = [demographics(results), overall(results), pairs(results)]
    paired = differences(results)
    if paired.rows:
        tables.append(paired)
    if all(summary["training"]["simulated"] for summary in results.summaries.values()):
        tables.append(bayes_limits())
    return tables


def demographics(results: Results) -> Table:
    """Return Table 1: demographics by grade."""
    rows = []
    for row in table_1(results.records):
        by_pair = "; ".join(f"{pair} {_format_p(p)}" for pair, p in row.pairs)
        levene = "" if row.levene_p is None else f" (Levene {_format_p(row.levene_p)})"
        rows.append([row.name, *row.groups, row.test + levene, _format_p(row.p), by_pair])
        rows.append([f"Ha 2024: {row.name}", *PUBLISHED_1[row.name], "", "", ""])
    patients = len({record.patient for record in results.records})
    grades = [grade for _, grade in dict(_patients(results)).items()]
    count = ", ".join(f"{grades.count(grade)} {grade.value}" for grade in GRADES)
    return Table(
        "Table 1: patients",
        ["", *(grade.value for grade in GRADES), "test", "p", "Games–Howell"],
        rows,
        f"{patients} patients ({count}), {len(results.records)} labeled hips. Each patient is "
        "counted once. Means ± SD; Levene's test decides between ANOVA and Welch's.",
    )


def _patients(results: Results) -> Sequence[tuple[str, object]]:
    grades = patient_grades(results.records)
    return [(r.patient, grade) for r, grade in zip(results.records, grades, strict=True)]


def overall(results: Results) -> Table:
    """Return Table 2: figures over all grades."""
    rows = [
        [
            model.name, f"{model.parameters:,}",
            *(format_interval(model.measured[name]) for name in OVERALL),
            f"{model.measured['ece']:.3f}",
            f"{calibration_floor(model.probabilities, np.random.default_rng(6)):.3f}",
        ]
        for model in results.predictions
    ]  # fmt: skip
    rows += [[f"Ha 2024: {name}", "", *row, "", ""] for name, row in PUBLISHED_2.items()]
    columns = ["model", "parameters", "ACC", "sensitivity", "specificity", "precision", "F1"]
    return Table(
        "Table 2: all grades",
        [*columns, "macro AUC", "ECE", "ECE if exactly calibrated"],
        rows,
        "Unweighted means over the grades. ECE: 15 bins of the most probable grade. The last "
        "column is the ECE that exact probabilities would show on the same number of hips.",
    )


def pairs(results: Results) -> Table:
    """Return Table 3: figures of pairs of grades."""
    names = [
        f"{GRADES[a].value}/{GRADES[b].value}" for a, b in combinations(range(len(GRADES)), 2)
    ]
    rows = [
        [
            model.name,
            *(
                f"{format_interval(model.measured['pairs'][name]['auc'])} / "
                f"{format_interval(model.measured['pairs'][name]['accuracy'])}"
                for name in names
            ),
        ]
        for model in results.predictions
    ]
    rows.append(["Ha 2024", *PUBLISHED_3])
    return Table("Table 3: pairs of grades, AUC / ACC", ["model", *names], rows)


def differences(results: Results) -> Table:
    """Return the differences between ours and the paper's networks on the same hips."""
    draws = patient_draws(results.test.patients, np.random.default_rng(9))
    rows = []
    for ours, published in COMPARED_MODELS:
        first, second = results.find(*ours), results.find(*published)
        if first is None or second is None:
            continue
        cells = [
            format_interval(
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
        ["", "ACC", "macro AUC", "our parameters, share of theirs"],
        rows,
        "Each bootstrap sample of patients measures both models.",
    )


def bayes_limits() -> Table:
    """Return the Bayes limits on simulated data."""
    rows = [
        [name, f"{limit['accuracy']:.3f}", f"{limit['macro_auc']:.3f}"]
        for name, limit in bayes_limit().items()
    ]
    return Table(
        "Bayes limit of any model",
        ["known exactly", "ACC", "macro AUC"],
        rows,
        "Grades from the simulator's own density values of the measured hip, read without "
        "error, over 6,000 simulated patients. Noise, tube voltage, contrast medium and "
        "partial volume reduce the information in an image.",
    )


def _format_p(value: float) -> str:
    return "–" if np.isnan(value) else "p < .001" if value < 0.001 else f"p = {value:.3f}"
