"""``training prepare``: a manifest of CT series and DXA results → a data set, by the worker's
own load, eligible, select and crop.

``OUT/flow.json`` and ``OUT/flow.png`` count what was left out and why (the paper's Fig. 1),
``OUT/excluded.csv`` names it.
"""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training import dataset, shards
from training.dataset import Record
from training.flow_chart import draw_flow
from training.manifest import MAX_DAYS_APART, Row, by_series, read_manifest
from worker.package import PREPROCESSING
from worker.pipeline import crop, eligible, geometry, load, select
from worker.pipeline.acquisition import kernel_of
from worker.pipeline.checks import reason_of
from worker.pipeline.contrast import enhanced
from worker.pipeline.demographics import Demographics, demographics_of
from worker.pipeline.results import Grade, HipCrop, Reason, Rejected, Series, Side

SIDES: tuple[Side, Side] = ("R", "L")
DATES_APART = "DATES_APART"
DATES_MISSING = "DATES_MISSING"
NO_FILES = "NO_FILES"


@dataclass(frozen=True, slots=True)
class Excluded:
    """A series or, with a side, one hip that is not in the data set."""

    series_dir: str
    side: Side | None
    code: str
    text: str


def prepare(
    manifest: Path,
    out_dir: Path,
    *,
    workers: int,
    seed: int = 0,
    require_dates: bool = False,
    advance: Callable[[int], None] = lambda series: None,
) -> dict[str, Any]:
    """Read, check and crop every series once, join and split; returns ``flow.json``.

    A second run reads only what is new or has changed. ``require_dates`` leaves out series
    whose ±3 months cannot be checked. Raises ManifestError, and ValueError where no hip is
    left.
    """
    groups = by_series(read_manifest(manifest))
    jobs = []
    for folder, rows in groups.items():
        files = find_files(folder)
        path = out_dir / "shards" / f"{fingerprint(rows, files, require_dates)}.npz"
        jobs.append((path, (rows, files, require_dates)))
    shards.make_all(jobs, make_shard, workers=workers, advance=lambda _: advance(1))
    excluded = [
        Excluded(**entry) for path, _ in jobs for entry in json.loads(_text(path, "excluded"))
    ]
    flow = count_flow(groups.values(), [path for path, _ in jobs], excluded)
    write_flow(out_dir, flow, excluded)
    dataset.assemble((path for path, _ in jobs), out_dir, seed)
    return flow


def find_files(folder: Path) -> tuple[Path, ...]:
    """All files below a folder, in order."""
    return tuple(sorted(path for path in folder.rglob("*") if path.is_file()))


def fingerprint(rows: Sequence[Row], files: Sequence[Path], require_dates: bool) -> str:
    """Names a shard by the rows, the files as they are on disk, and how crops are made."""
    digest = hashlib.sha256()
    for row in rows:
        # The line number moves when others are added.
        digest.update(row.model_dump_json(exclude={"line"}).encode())
    for path in files:
        found = path.stat()
        digest.update(f"{path}|{found.st_size}|{found.st_mtime_ns}".encode())
    digest.update(json.dumps([PREPROCESSING, require_dates]).encode())
    return digest.hexdigest()[:20]


def make_shard(path: Path, job: tuple[Sequence[Row], Sequence[Path], bool]) -> None:
    """The labelled hips of one series, or why there are none."""
    rows, files, require_dates = job
    folder = str(rows[0].series_dir)
    records: list[Record] = []
    pixels = []
    excluded: list[Excluded] = []
    reason = _dates(rows, require_dates)
    cropped = crop_series(files) if reason is None else None
    if isinstance(cropped, Reason):
        reason = Excluded(folder, None, cropped.code.value, cropped.text)
    if reason is not None:
        excluded.append(reason)
    elif isinstance(cropped, Cropped):
        for row in rows:
            for side in (row.side,) if row.side else SIDES:
                found = cropped.hips[side]
                if isinstance(found, Reason):
                    excluded.append(Excluded(folder, side, found.code.value, found.text))
                    continue
                records.append(record_of(row, side, cropped))
                pixels.append(found.pixels if side == "R" else found.pixels[:, ::-1])
    said = json.dumps([asdict(entry) for entry in excluded])
    dataset.save_shard(path, records, pixels, excluded=said)


@dataclass(frozen=True, slots=True)
class Cropped:
    """A series with the crop of each hip, or why there is none."""

    series: Series
    enhanced: bool | None
    hips: Mapping[Side, HipCrop | Reason]


def crop_series(files: Sequence[Path]) -> Cropped | Reason:
    """The worker's path from files to crops (``worker.pipeline.screen`` without a model)."""
    series = load.read_series(files)
    if isinstance(series, Rejected):
        return series.reason
    if (reason := reason_of(eligible.check_series(series))) is not None:
        return reason
    volume = load.read_volume(series)
    if isinstance(volume, Rejected):
        return volume.reason
    if (reason := reason_of(eligible.check_volume(volume))) is not None:
        return reason
    found = select.find_femurs(volume)
    femurs = {femur.side: femur for femur in found}
    hips: dict[Side, HipCrop | Reason] = {}
    for side in SIDES:
        femur = femurs.get(side)
        if femur is None:
            checks = eligible.missing_hip(volume, side, found)
        else:
            checks = eligible.check_hip(volume, femur)
        reason = reason_of(checks)
        if femur is not None and reason is None:
            hips[side] = crop.crop_hip(select.choose_plane(volume, femur), femur)
        elif reason is not None:
            hips[side] = reason
    return Cropped(series, enhanced(volume, found), hips)


def _dates(rows: Sequence[Row], required: bool) -> Excluded | None:
    """Ha 2024: CT within three months of DXA."""
    folder = str(rows[0].series_dir)
    apart = [row.days_apart for row in rows]
    if any(days is not None and days > MAX_DAYS_APART for days in apart):
        text = f"CT and DXA are more than {MAX_DAYS_APART} days apart."
        return Excluded(folder, None, DATES_APART, text)
    if required and None in apart:
        return Excluded(folder, None, DATES_MISSING, "The date of CT or DXA is not given.")
    return None


def record_of(row: Row, side: Side, cropped: Cropped) -> Record:
    """What the manifest says; the header fills in what it leaves open."""
    header = cropped.series.headers[0]
    stated = demographics_of(header)
    known = Demographics(
        row.sex or stated.sex,
        stated.age if row.age is None else row.age,
        row.height_m or stated.height_m,
        row.weight_kg or stated.weight_kg,
    )
    return Record(
        patient=row.patient_id,
        scan=cropped.series.series_instance_uid,
        side=side,
        t_score=row.t_score,
        sex=known.sex,
        age=known.age,
        height_m=known.height_m,
        weight_kg=known.weight_kg,
        orientation=cropped.series.orientation,
        kvp=geometry.number_of(header, "KVP"),
        kernel=kernel_of(cropped.series) or None,
        thickness_mm=geometry.number_of(header, "SliceThickness"),
        increment_mm=geometry.number_of(header, "SpacingBetweenSlices"),
        manufacturer=geometry.text_of(header, "Manufacturer") or None,
        enhanced=cropped.enhanced,
    )


def count_flow(
    groups: Iterable[Sequence[Row]], paths: Sequence[Path], excluded: Sequence[Excluded]
) -> dict[str, Any]:
    """The paper's Fig. 1 in numbers: series and patients in, exclusions, hips out."""
    rows = [row for group in groups for row in group]
    records = [
        Record(**entry) for path in paths for entry in json.loads(_text(path, "records"))
    ]
    return {
        "series": len(paths),
        "patients": len({row.patient_id for row in rows}),
        "series_excluded": dict(Counter(e.code for e in excluded if e.side is None)),
        "hips_excluded": dict(Counter(e.code for e in excluded if e.side is not None)),
        "series_left": len({record.scan for record in records}),
        "patients_left": len({record.patient for record in records}),
        "hips": {
            grade.value: sum(record.grade is grade for record in records) for grade in Grade
        },
    }


def write_flow(out_dir: Path, flow: dict[str, Any], excluded: Sequence[Excluded]) -> None:
    """``flow.json``, ``flow.png`` and ``excluded.csv``."""
    (out_dir / "flow.json").write_text(json.dumps(flow, indent=1) + "\n")
    draw_flow(flow, out_dir / "flow.png")
    with (out_dir / "excluded.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["series_dir", "side", "code", "text"])
        table.writeheader()
        table.writerows(asdict(entry) for entry in excluded)


def _text(path: Path, name: str) -> str:
    with np.load(path, allow_pickle=False) as shard:
        return str(shard[name])
