"""``python -m training simulate``: write series with their truth and manifest."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from training.simulate.acquisition import Acquisition, View, sample_acquisition
from training.simulate.series import derive_uid, iter_series
from training.simulate.subject import Condition, Subject, sample_subject
from training.simulate.truth import HipTruth, truth
from worker.pipeline.results import Grade

Choice = Literal[
    "none", "metal", "metal-both", "osteoarthritis", "arms", "prone", "one-hip", "abdomen"
]
GRADES = tuple(Grade)


def plan_series(
    number: int, seed: int, plane: Literal["coronal", "axial"], grade: Grade | None,
    condition: Choice, thickness_mm: float = 0.0,
) -> tuple[Subject, Acquisition]:  # fmt: skip
    """Return the ``number``-th patient (from 1) and scan.

    Without a grade the three grades alternate; without a slice thickness it is random.
    """
    rng = np.random.default_rng([seed, number])
    grade = grade or GRADES[(number - 1) % len(GRADES)]
    # Two of the choices are fields of view, the others conditions of the patient.
    view: View | None = None
    state: Condition = "none"
    if condition == "one-hip" or condition == "abdomen":
        view = condition
    else:
        state = condition
    subject = sample_subject(rng, grade=grade, condition=state)
    fixed = {"thickness_mm": thickness_mm} if thickness_mm else {}
    return subject, sample_acquisition(rng, subject, plane=plane, view=view, **fixed)


def simulate(
    out_dir: Path,
    plans: list[tuple[Subject, Acquisition]],
    progress: Callable[[int, int], None],
) -> None:
    """Write OUT/0001/IM0001.dcm …, OUT/truth.json and OUT/manifest.csv.

    The manifest is that of ``prepare`` and ``evaluate``. ``progress(done, total)`` is called
    after every slice.
    """
    total = sum(acquisition.slices for _, acquisition in plans)
    done = 0
    entries = []
    for number, (subject, acquisition) in enumerate(plans, start=1):
        folder = out_dir / f"{number:04d}"
        for _ in _write_cleared(folder, subject, acquisition, number):
            done += 1
            progress(done, total)
        entries.append(describe(folder.name, subject, acquisition))
    text = json.dumps({"simulated": True, "series": entries}, indent=1)
    (out_dir / "truth.json").write_text(text + "\n", encoding="utf-8")
    patients = [f"SIM{subject.seed:010d}" for subject, _ in plans]  # as in the headers
    _write_manifest(out_dir / "manifest.csv", dict(zip(patients, entries, strict=True)))


def _write_manifest(path: Path, entries: dict[str, dict[str, Any]]) -> None:
    """Write the manifest of ``prepare`` and ``evaluate``, one line per hip."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            [
                "series_dir",
                "patient_id",
                "t_score",
                "side",
                "sex",
                "age",
                "height_m",
                "weight_kg",
            ]
        )
        for patient, entry in entries.items():
            known = [entry[name] for name in ("sex", "age_years", "height_m", "weight_kg")]
            for hip in entry["hips"]:
                table.writerow([entry["folder"], patient, hip["t_score"], hip["side"], *known])


def _write_cleared(
    folder: Path, subject: Subject, acquisition: Acquisition, number: int
) -> Iterator[Path]:
    """Write the series after removing the instances of an earlier run."""
    for old in folder.glob("IM*.dcm"):
        old.unlink()
    yield from iter_series(subject, acquisition, folder, patient=number)


def describe(folder: str, subject: Subject, acquisition: Acquisition) -> dict[str, Any]:
    """Return the entry of a series in truth.json; positions are patient LPS mm."""
    return {
        "folder": folder,
        "series_uid": derive_uid("series", subject.seed, acquisition),
        "t_score": round(subject.t_score, 3),
        "grade": subject.grade.value,
        "condition": subject.condition,
        "sex": subject.sex,
        "age_years": subject.age_years,
        "height_m": subject.height_m,
        "weight_kg": subject.weight_kg,
        "hips": [_hip(hip) for hip in truth(subject)],
        "acquisition": {
            "plane": acquisition.plane,
            "slices": acquisition.slices,
            "rows": acquisition.rows,
            "columns": acquisition.columns,
            "pixel_mm": acquisition.pixel_mm,
            "increment_mm": acquisition.increment_mm,
            "thickness_mm": acquisition.thickness_mm,
            "kernel": acquisition.kernel,
            "kvp": acquisition.kvp,
            "noise_hu": round(acquisition.noise_hu, 1),
        },
    }


def _hip(hip: HipTruth) -> dict[str, Any]:
    return {
        "side": hip.side,
        "t_score": round(hip.t_score, 3),
        "grade": hip.grade.value,
        "metal": hip.metal,
        "center_mm": [round(v, 2) for v in hip.center_mm],
        "radius_mm": round(hip.radius_mm, 2),
        "neck_mm": [round(v, 2) for v in hip.neck_mm],
        "intertrochanteric_mm": [round(v, 2) for v in hip.intertrochanteric_mm],
        "neck_hu": round(hip.neck_hu, 1),
    }
