"""What a run belongs to: one data set and one configuration, from its first epoch on.

``RUN/start.json``    checksum of the data, preset and seed
``RUN/patients.csv``  part of every patient, for ``evaluate``; it stays at the site
"""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.cohort.dataset import Record
from training.cohort.folds import Fold
from training.fit.train import STATE
from training.presets import Preset

START, PATIENTS = "start.json", "patients.csv"


def bind(
    run_dir: Path,
    data_sha256: str,
    preset: Preset,
    seed: int,
    *,
    initial: str | None = None,
    fold: Fold | None = None,
) -> None:
    """Write ``start.json``, or check it where the run was started before.

    ``initial`` : SHA-256 of the weights that the run starts from, None for random ones.
    ``fold`` : of a cross-validation, None for the split of the data set.

    Raises ValueError where the run belongs to other data or to another configuration.
    """
    wanted = json.loads(
        json.dumps(
            {
                "data_sha256": data_sha256,
                "seed": seed,
                "initial": initial,
                **({} if fold is None else {"fold": asdict(fold)}),
                "preset": asdict(preset),
            }
        )
    )
    path = run_dir / START
    if path.exists():
        started = json.loads(path.read_text())
        started["preset"]["fit"].setdefault("class_weights", "none")  # runs of older versions
        differences = [
            f"{name} {old!r}, now {new!r}" for name, old, new in _differences(started, wanted)
        ]
        if differences:
            raise ValueError(
                f"{run_dir} was started with {'; '.join(differences)}. Continue it with the "
                "same data and options, or give another --out"
            )
    elif (run_dir / STATE).exists():
        raise ValueError(
            f"{run_dir} holds a run of which the data are not recorded; give another --out"
        )
    run_dir.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(wanted, indent=1) + "\n")


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after)
        elif before != after:
            yield name, before, after


def write_patients(run_dir: Path, records: tuple[Record, ...]) -> None:
    """Write the part of every patient who has one."""
    with (run_dir / PATIENTS).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["patient", "part"])
        table.writerows(sorted({(r.patient, r.part) for r in records if r.part is not None}))


def read_patients(run_dir: Path) -> dict[str, str] | None:
    """Return the part of every patient of a run, None where it is not recorded."""
    path = run_dir / PATIENTS
    if not path.exists():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        return {line["patient"]: line["part"] for line in csv.DictReader(file)}
