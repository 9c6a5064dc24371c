"""Description of a run for ``run.json``: its data, its settings and its course."""

import os
import platform
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tensorflow as tf

from training.cohort import dataset
from training.cohort.dataset import Hips, Record
from training.cohort.source import Source, read_source
from training.cohort.split import SplitPart
from training.fit.envelope import measure_envelope
from training.fit.start import InitialModel
from training.fit.train import Fitted
from training.presets import Preset


def require_source(data_dir: Path) -> Source:
    """Return the origin of a data set. Raises ValueError where none is recorded."""
    source = read_source(data_dir)
    if source is None:
        raise ValueError(
            f"{data_dir} has no source.json: an older version wrote it; write it again by "
            "the command that made it"
        )
    return source


def describe_data(
    data_dir: Path, parts: Mapping[SplitPart, Hips], *, simulated: bool
) -> dict[str, Any]:
    """Return the entries of ``training`` in ``run.json`` about the origin of the data."""
    records = [record for part in parts.values() for record in part.records]
    return {
        "data": training_data(records, simulated=simulated),
        "simulated": simulated,
        "data_sha256": dataset.sha256(data_dir),
    }


def describe_fit(
    preset: Preset, parts: Mapping[SplitPart, Hips], fitted: Fitted
) -> dict[str, Any]:
    """Return the entries of ``training`` in ``run.json`` about settings and course."""
    return {
        "acquisition": asdict(measure_envelope(parts["train"].records, preset.augment)),
        "preset": asdict(preset),
        "hips": {name: len(part.records) for name, part in parts.items()},
        "patients": {
            name: len({record.patient for record in part.records})
            for name, part in parts.items()
        },
        "epochs": len(fitted.history),
        "best_epoch": fitted.best_epoch,
        "fitting_wall_seconds": round(sum(epoch.seconds for epoch in fitted.history)),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "history": [asdict(epoch) for epoch in fitted.history],
    }


def check_parts(data_dir: Path, parts: Mapping[SplitPart, Hips]) -> None:
    """Raise ValueError where a part has no hip."""
    for name, hips in parts.items():
        if not hips.records:
            counts = ", ".join(f"{part} {len(each.records)}" for part, each in parts.items())
            raise ValueError(
                f"the part {name} of {data_dir} has no hip ({counts}); prepare more series, or "
                "edit the column part of hips.csv, the same for all hips of a patient"
            )


def run_version(
    preset: Preset, source: Source, data_sha256: str, initial: InitialModel | None = None
) -> str:
    """Return the version of a run's model, until ``package`` gives it one.

    A model of other data or of another start is not the preset's: it has the checksum of its
    data.
    """
    if source.simulated and initial is None:
        return preset.version
    return f"{preset.version}+data.{data_sha256[:8]}"


def training_data(records: Collection[Record], *, simulated: bool) -> str:
    """Return the description of the data that SR and model card print."""
    scans, patients = len({r.scan for r in records}), len({r.patient for r in records})
    if simulated:
        return (
            f"simulated CT: {scans:,} scans of {patients:,} simulated patients; no real patient"
        )
    return f"CT with DXA: {scans:,} scans of {patients:,} patients"
