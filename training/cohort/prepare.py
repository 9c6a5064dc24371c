"""``training prepare``: make a data set from a manifest of CT series and DXA results.

Loading, checking, finding and cropping are the steps of ``worker.pipeline``.
``OUT/flow.json`` and ``OUT/flow.png`` count the exclusions by reason (the paper's Fig. 1),
``OUT/excluded.csv`` lists them.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.dicom.patient_values import examination_date
from training.cohort import dataset, shards
from training.cohort.assemble import assemble, save_shard
from training.cohort.cropped_series import SIDES, CroppedSeries, crop_series
from training.cohort.dataset import Record
from training.cohort.flow import Exclusion, count_flow, write_flow
from training.cohort.identity import (
    HeaderIdentity,
    check_identities,
    identity_of,
    sex_exclusion,
)
from training.cohort.manifest import ManifestRow, by_series, date_exclusion, find_files
from training.cohort.record_parts import edited_patients, missing_grades
from training.cohort.source import Source, check_seed
from training.cohort.split import PARTS, SplitPart
from worker.pipeline import header_values, load
from worker.pipeline.acquisition import kernel_of
from worker.pipeline.demographics import Demographics, demographics_of
from worker.pipeline.header_values import source_header
from worker.pipeline.model.package import PREPROCESSING
from worker.pipeline.reasons import Reason
from worker.pipeline.results import Rejected
from worker.pipeline.volume import Series, Side

NO_FILES = "NO_FILES"
SHARD_FORMAT = 4


@dataclass(frozen=True, slots=True)
class Options:
    """Choices of ``prepare``.

    ``require_dates`` : exclude series without the dates of both CT and DXA.
    ``ignore_header_ids`` : accept one PatientID in the headers of several patients.
    """

    seed: int = 0
    require_dates: bool = False
    ignore_header_ids: bool = False


def prepare_data_set(
    rows: Iterable[ManifestRow],
    out_dir: Path,
    *,
    workers: int,
    options: Options = Options(),
    advance: Callable[[int], None] = lambda series: None,
) -> dict[str, Any]:
    """Read, check and crop every series, write a data set and return ``flow.json``.

    A second run reads only new and changed series, and moves no patient to another part.

    Raises IdentityError for contradicting patients, and ValueError where no hip is left or the
    data set was split with another seed.
    """
    check_seed(out_dir, options.seed)
    groups = by_series(rows)
    jobs = []
    for folder, group in groups.items():
        files = find_files(folder)
        name = fingerprint(group, files, options.require_dates)
        jobs.append((out_dir / "shards" / f"{name}.npz", (group, files, options.require_dates)))
    shards.make_all(
        jobs, make_shard, workers=workers, advance=lambda _: advance(1), imports="tensorflow"
    )
    paths = [path for path, _ in jobs]
    excluded = [Exclusion(**entry) for path in paths for entry in _entries(path, "excluded")]
    drawn = [Record(**entry) for path in paths for entry in _entries(path, "records")]
    flow = count_flow(groups.values(), drawn, excluded)
    write_flow(out_dir, flow, excluded)
    found = [HeaderIdentity(**entry) for path in paths for entry in _entries(path, "identity")]
    listed = check_identities(found, ignore_header_ids=options.ignore_header_ids)
    simulated = bool(found) and all(one.simulated for one in found)
    assemble(paths, out_dir, Source(simulated, "hash", options.seed))
    records = dataset.load_records(out_dir)
    flow |= {
        "identity": listed,
        "edited_patients": edited_patients(records, options.seed),
        "parts": {part: _count(records, part) for part in PARTS},
        "missing": missing_grades(records),
    }
    write_flow(out_dir, flow, excluded)
    return flow


def _count(records: Sequence[Record], part: SplitPart) -> dict[str, int]:
    chosen = [record for record in records if record.part == part]
    return {"hips": len(chosen), "patients": len({record.patient for record in chosen})}


def fingerprint(rows: Sequence[ManifestRow], files: Sequence[Path], require_dates: bool) -> str:
    """Return the name of a shard, which depends on rows, files and preprocessing."""
    digest = hashlib.sha256()
    for row in rows:
        # The line number changes when other lines are added.
        digest.update(json.dumps(asdict(row) | {"line": 0}, default=str).encode())
    for path in files:
        stat = path.stat()
        digest.update(f"{path}|{stat.st_size}|{stat.st_mtime_ns}".encode())
    digest.update(json.dumps([PREPROCESSING, SHARD_FORMAT, require_dates]).encode())
    return digest.hexdigest()[:20]


def make_shard(path: Path, job: tuple[Sequence[ManifestRow], Sequence[Path], bool]) -> None:
    """Write the labeled hips, the exclusions and the identity of one series."""
    rows, files, require_dates = job
    series = read_listed(rows, files, require_dates)
    cropped = crop_series(series) if isinstance(series, Series) else series
    records: list[Record] = []
    pixels, femurs, outlines = [], [], []
    excluded: list[Exclusion] = []
    if isinstance(cropped, Exclusion):
        excluded.append(cropped)
    elif isinstance(cropped, Reason):
        excluded.append(_exclusion(rows, (cropped.code.value, cropped.text)))
    else:
        for row in rows:
            for side in (row.side,) if row.side else SIDES:
                hip = cropped.hips[side]
                if isinstance(hip, Reason):
                    excluded.append(_exclusion(rows, (hip.code.value, hip.text), side))
                    continue
                records.append(record_of(row, side, cropped))
                mirrored = np.s_[:, ::-1] if side == "L" else np.s_[:, :]
                pixels.append(hip.crop.pixels[mirrored])
                femurs.append(hip.crop.femur_mm[mirrored])
                outlines.append(hip.outline[mirrored])
    identities = [_identity(rows, series)] if isinstance(series, Series) else []
    save_shard(
        path, records, pixels, femurs, outlines,
        excluded=json.dumps([asdict(entry) for entry in excluded]),
        identity=json.dumps([asdict(entry) for entry in identities]),
    )  # fmt: skip


def read_listed(
    rows: Sequence[ManifestRow], files: Sequence[Path], require_dates: bool
) -> Series | Exclusion:
    """Return a series, or the reason for which the manifest or its header excludes it."""
    # Without the header where the manifest has both dates, so that no file is read in vain.
    if (early := date_exclusion(rows, required=False)) is not None:
        return _exclusion(rows, early)
    if not files:
        folder = rows[0].series_dir
        text = "The folder is empty." if folder.is_dir() else "There is no such folder."
        return _exclusion(rows, (NO_FILES, text))
    series = load.read_series(files)
    if isinstance(series, Rejected):
        return _exclusion(rows, (series.reason.code.value, series.reason.text))
    header = source_header(series.headers)
    found = date_exclusion(
        rows, required=require_dates, header_date=examination_date(header)
    ) or sex_exclusion(rows, header)
    return series if found is None else _exclusion(rows, found)


def _exclusion(
    rows: Sequence[ManifestRow], found: tuple[str, str], side: Side | None = None
) -> Exclusion:
    return Exclusion(str(rows[0].series_dir), side, *found)


def _identity(rows: Sequence[ManifestRow], series: Series) -> HeaderIdentity:
    return identity_of(rows[0], series.series_instance_uid, source_header(series.headers))


def record_of(row: ManifestRow, side: Side, cropped: CroppedSeries) -> Record:
    """Return the record of a hip; the DICOM header fills in what the manifest leaves empty."""
    header = cropped.series.headers[0]
    from_header = demographics_of(source_header(cropped.series.headers))
    known = Demographics(
        row.sex or from_header.sex,
        from_header.age if row.age is None else row.age,
        row.height_m or from_header.height_m,
        row.weight_kg or from_header.weight_kg,
    )
    hip = cropped.hips[side]
    hu = {level: round(value, 1) for level, value in cropped.lumbar.hu.items()}
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
        kvp=header_values.number_of(header, "KVP"),
        kernel=kernel_of(cropped.series) or None,
        thickness_mm=header_values.number_of(header, "SliceThickness"),
        increment_mm=header_values.number_of(header, "SpacingBetweenSlices"),
        manufacturer=header_values.text_of(header, "Manufacturer") or None,
        enhanced=cropped.enhanced,
        l1_hu=hu.get("L1"),
        l2_hu=hu.get("L2"),
        l3_hu=hu.get("L3"),
        l4_hu=hu.get("L4"),
        limits_hold=cropped.lumbar.limits_hold,
        neck_hu=None if isinstance(hip, Reason) else hip.neck_hu,
    )


def _entries(path: Path, name: str) -> list[dict[str, Any]]:
    with np.load(path, allow_pickle=False) as shard:
        entries: list[dict[str, Any]] = json.loads(str(shard[name]))
    return entries
