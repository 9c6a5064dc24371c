"""Assembly of a data set from shards of hips that parallel processes write."""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.cohort.dataset import FEMURS, OUTLINES, PIXELS, TABLE, Mask, Record
from training.cohort.record_parts import hash_records, split_records
from training.cohort.source import (
    Source,
    check_seed,
    read_parts,
    write_parts,
    write_source,
)
from worker.pipeline.crop import CROP_PX
from worker.pipeline.femur_shape import STEP_MM


def save_shard(
    path: Path,
    records: Sequence[Record],
    pixels: Sequence[npt.NDArray[np.floating]],
    femurs: Sequence[npt.NDArray[np.floating]] | None = None,
    outlines: Sequence[Mask] | None = None,
    **extra: Any,
) -> None:
    """Write some hips to one file; ``extra`` : further arrays.

    ``femurs`` : distances from the finder's femur, mm.

    The file is renamed into place, so that a file under its final name is complete.
    """
    arrays: dict[str, Any] = {
        "records": json.dumps([asdict(record) for record in records]),
        "pixels": np.array(pixels, np.float16).reshape(-1, CROP_PX, CROP_PX),
        **extra,
    }
    if femurs is not None:
        steps = np.rint(np.array(femurs, np.float32) / STEP_MM)
        arrays["femurs"] = steps.astype(np.int8).reshape(-1, CROP_PX, CROP_PX)
    if outlines is not None:
        masks = np.array(outlines, bool).reshape(-1, CROP_PX, CROP_PX)
        arrays["outlines"] = np.packbits(masks, axis=-1)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **arrays)
    partial.rename(path)


def assemble(shards: Iterable[Path], out_dir: Path, source: Source) -> int:
    """Join shards to one data set in ``out_dir``, split by patient; return the number of hips.

    The table is written last. Raises ValueError where the shards hold no hip, or where the
    data set was split with another seed.
    """
    check_seed(out_dir, source.seed)
    records: list[Record] = []
    arrays: dict[str, list[npt.NDArray[Any]]] = {PIXELS: [], FEMURS: [], OUTLINES: []}
    for path in shards:
        with np.load(path, allow_pickle=False) as shard:
            records += [Record(**entry) for entry in json.loads(str(shard["records"]))]
            for name, parts in arrays.items():
                if (key := name.removesuffix(".npy")) in shard:
                    parts.append(shard[key])
    if not records:
        raise ValueError(f"no hip is left for a data set in {out_dir}; check the exclusions")
    if source.split == "hash":
        known = read_parts(out_dir, TABLE)
        records = hash_records(records, source.seed, known)
        write_parts(out_dir, known | {r.patient: r.part for r in records if r.part})
    else:
        records = split_records(records, source.seed)
    write_source(out_dir, source)
    (out_dir / TABLE).unlink(missing_ok=True)
    for name, parts in arrays.items():
        if parts:
            np.save(out_dir / name, np.concatenate(parts))
    with (out_dir / TABLE).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Record)])
        table.writeheader()
        table.writerows(asdict(record) for record in records)
    return len(records)
