"""Model card: purpose, limits, training and measured figures of a model.

The shipped card (``worker/shipped/model_card.md``) is written by this module: a change of a
text here needs a new card.
"""

from collections.abc import Mapping
from typing import Any

from training.evaluate.measures import format_interval
from training.report.card_texts import INTENDED, INTENDED_OWN, LIMITS, LIMITS_OWN
from worker.pipeline.model.networks import GRADES


def write_card(metrics: Mapping[str, Any]) -> str:
    """Return the card as Markdown, made from ``metrics.json`` alone so that both agree."""
    model, training, test = metrics["model"], metrics["training"], metrics["test"]
    simulated = "**Trained on simulated CT only.** " if training["simulated"] else ""
    lines = [
        f"# {model['name']} {model['version']}",
        "",
        f"Grades a proximal femur on CT as {', '.join(GRADES[:-1])} or {GRADES[-1]}. "
        f"{simulated}{model['parameters']:,} parameters, trained {training['date']}.",
        "",
        *_objections(metrics["packaging"]),
        INTENDED if training["simulated"] else INTENDED_OWN,
        _demographics(model["temperatures"]),
        "",
        *_training(metrics),
        f"## Measured on held-out {'simulated ' if training['simulated'] else ''}patients",
        "",
        *(line for name, measured in test.items() for line in _measured(name, measured)),
        *_operating_point(metrics.get("operating_point")),
        *_end_to_end(metrics.get("whole_path"), simulated=training["simulated"]),
        "",
        *_out_of_distribution(metrics["familiarity"]),
        "",
        LIMITS if training["simulated"] else LIMITS_OWN,
        "## Beside the paper",
        "",
        "Ha et al. (2024) published accuracy .794 and macro AUC .933 for their image model and "
        ".802 and .939 with demographics, on their own patients. Those figures were measured "
        "on other data and cannot be compared with the ones above.",
        "",
    ]
    return "\n".join(lines)


VARIANTS = {"image": "picture alone", "both": "picture and demographics"}


def _training(metrics: Mapping[str, Any]) -> list[str]:
    model, training = metrics["model"], metrics["training"]
    return [
        "## Training",
        "",
        f"- Command: `{training['command']}`; seed {training['seed']}. Packaged by "
        f"`{metrics['packaging']['command']}`.",
        f"- Data: {training['data']}{_checksum(training)}.",
        *_weights(metrics["packaging"]),
        *_initial(training.get("initial")),
        *_acquisition(training.get("acquisition"), simulated=training["simulated"]),
        f"- Split by patient{', stratified by grade' if training['simulated'] else ''}: "
        f"{training['hips']['train']} / "
        f"{training['hips']['validation']} / {training['hips']['test']} hips of "
        f"{training['patients']['train']} / {training['patients']['validation']} / "
        f"{training['patients']['test']} patients (train / validation / test).",
        _selection(model, training),
        f"- Fitting took {training['fitting_wall_seconds'] / 60:.0f} min on "
        f"{training['cores']} shared cores.",
        "",
    ]


def _selection(model: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    if "members" in model:
        return (
            f"- Ensemble of the {model['members']} runs of a cross-validation, whose "
            "calibrated probabilities are averaged; each was selected and calibrated on a fold "
            "that it was not trained on, and no test hip was used before."
        )
    return (
        f"- Epoch {training['best_epoch']} of {training['epochs']} by validation loss, of at "
        f"most {training['preset']['fit']['epochs']}; "
        + ", ".join(
            f"temperature {value} ({VARIANTS[name]})"
            for name, value in model["temperatures"].items()
        )
        + " from the validation hips."
    )


def _objections(packaging: Mapping[str, Any]) -> list[str]:
    """Return why the package should not have been made, where it was forced."""
    reasons = packaging.get("objections")
    if not reasons:
        return []
    return [
        "**Packaged by --force although:**",
        "",
        *(f"- {reason}" for reason in reasons),
        "",
    ]


def _weights(packaging: Mapping[str, Any]) -> list[str]:
    """Return the digest of the weights; packages of earlier versions do not state it."""
    digest = packaging.get("weights_sha256")
    return [f"- SHA-256 of the weights: `{digest}`."] if digest else []


def _initial(initial: Mapping[str, str] | None) -> list[str]:
    if initial is None:
        return []
    return [
        f"- Started from the weights of {initial['name']} {initial['version']} "
        f"({initial['training_data']}; SHA-256 {initial['sha256'][:16]}…)."
    ]


def _operating_point(point: Mapping[str, Any] | None) -> list[str]:
    """Return the limits on the probability of osteoporosis; the worker does not use them."""
    if point is None:
        return []
    lines = [f"Limit for osteoporosis, chosen on validation hips for {point['wish']}:", ""]
    for name, words in VARIANTS.items():
        if name in point:
            test = point[name]["test"]
            lines.append(
                f"- {words}: probability from {point[name]['limit']:.3f} on; test hips: "
                f"sensitivity {format_interval(test['sensitivity'])}, "
                f"specificity {format_interval(test['specificity'])}"
            )
    return [*lines, "", "The worker reports grades and probabilities and applies no limit.", ""]


def _checksum(training: Mapping[str, Any]) -> str:
    """Return the checksum of the data; models older than data sets on disk have none."""
    checksum = training.get("data_sha256")
    return f"; SHA-256 {checksum[:16]}…" if checksum else ""


def _demographics(temperatures: Mapping[str, float]) -> str:
    if "both" not in temperatures:
        return "Age, sex, height and weight are not used."
    return (
        "Sex, age, height and weight are used where all of them are known, and the report says "
        "so; otherwise the picture alone decides."
    )


def _measured(name: str, test: Mapping[str, Any]) -> list[str]:
    return [
        f"{VARIANTS[name].capitalize()}: {test['hips']} hips of {test['patients']} patients, "
        "95 % intervals by a bootstrap over patients.",
        "",
        *_table(test),
        "",
        "Confusion (rows: true; columns: predicted; normal, osteopenia, osteoporosis): "
        + "; ".join(" ".join(map(str, row)) for row in test["confusion"])
        + ".",
        "",
    ]


def _acquisition(envelope: Mapping[str, Any] | None, *, simulated: bool) -> list[str]:
    """Return the acquisition ranges, outside of which a result carries a warning."""
    if envelope is None:
        return []
    slices = ", ".join(
        f"{low:.1f}–{high:.1f} mm ({plane})"
        for plane, (low, high) in envelope["thickness_mm"].items()
    )
    low, high = envelope["kvp"]
    unnamed = "simulated only" if simulated else "not stated in the headers"
    return [
        f"- Acquisition of {envelope['scans']:,} scans: {low:.0f}–{high:.0f} kV; slices of "
        f"{slices}; kernels {', '.join(envelope['kernels'])}; intravenous contrast medium in "
        f"{100 * envelope['contrast_share']:.0f} %; "
        f"scanners: {', '.join(envelope['manufacturers']) or unnamed}. "
        "Outside of it a result carries a warning."
    ]


def _table(test: Mapping[str, Any]) -> list[str]:
    rows = ["| measure | value |", "|---|---|"]
    rows += [
        f"| accuracy | {format_interval(test['accuracy'])} |",
        f"| macro AUC | {format_interval(test['macro_auc'])} |",
        f"| expected calibration error | {test['ece']:.3f} |",
    ]
    for grade, measures in test["per_grade"].items():
        for key in ("sensitivity", "specificity"):
            rows.append(f"| {key} for {grade} | {format_interval(measures[key])} |")
    return rows


def _end_to_end(summary: Mapping[str, Any] | None, *, simulated: bool) -> list[str]:
    lines = ["## The whole path", ""]
    if summary is None:
        return [*lines, "Not measured."]
    lines.append(
        f"{summary['series']} whole series of {_patients(summary, simulated=simulated)} were "
        f"screened by the worker's own path: {summary['hips_graded']} of {summary['hips']} "
        f"hips graded; not graded: {_counts(summary['reasons'])}."
    )
    rows = [
        f"| {plane} | {WORKER_VARIANTS[variant]} | {figures['hips']} | "
        f"{format_interval(figures['accuracy'])} | {format_interval(figures['macro_auc'])} |"
        for plane in ("all", "coronal", "axial", "new")
        for variant, figures in summary.get(plane, {}).items()
    ]
    return [
        *lines,
        "",
        "| series | asked | hips | accuracy | macro AUC |",
        "|---|---|--:|---|---|",
        *rows,
    ]


def _patients(summary: Mapping[str, Any], *, simulated: bool) -> str:
    """Return how many patients were evaluated and whether the model had seen them."""
    patients, overlap = summary["patients"], summary.get("overlap")
    if overlap is None:
        if simulated:
            return f"{patients} further patients"
        return f"{patients} patients (whether it was trained on them is not recorded)"
    if overlap == 0:
        return f"{patients} patients, none of whom it was trained or selected on,"
    return f"{patients} patients, **{overlap} of whom it was trained or selected on**,"


WORKER_VARIANTS = {"image": "picture alone", "used": "with demographics where known"}


def _out_of_distribution(score: Mapping[str, float]) -> list[str]:
    exceeded = f"what {score['false_alarms_allowed']:.1%} of the validation hips exceed"
    if "misses_allowed" in score:
        limit = (
            f"the middle between {exceeded} and what {score['misses_allowed']:.1%} of the same "
            "crops stay below when they are displaced under the outline of the femur"
        )
        if "displaced_flagged" in score:
            refused = f"{score['displaced_flagged']:.1%} were refused"
            limit += f". Of the displaced test crops {refused}"
    else:
        limit = f"{exceeded}, times a margin of {score['margin']}"
    return [
        "## Strange input",
        "",
        f"A crop is refused beyond a distance of {score['limit']:.3f} in the network's "
        f"features: {limit}. Of the test hips {score['test_flagged']:.1%} were refused (median "
        f"distance {score['test_median']:.3f}).",
    ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{code} {count}" for code, count in counts.items()) or "none"
