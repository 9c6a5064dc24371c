"""Counts of ``training prepare``: what was included, what was excluded and why."""

import csv
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.cohort.dataset import Record
from training.cohort.flow_chart import draw_flow
from training.cohort.manifest import ManifestRow
from worker.pipeline.results import Grade
from worker.pipeline.volume import Side


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A series or, with a side, one hip that is excluded from the data set."""

    series_dir: str
    side: Side | None
    code: str
    text: str


def count_flow(
    groups: Collection[Sequence[ManifestRow]],
    records: Sequence[Record],
    excluded: Sequence[Exclusion],
) -> dict[str, Any]:
    """Return the numbers of the paper's Fig. 1: series, patients, exclusions and hips."""
    rows = [row for group in groups for row in group]
    return {
        "series": len(groups),
        "patients": len({row.patient_id for row in rows}),
        "series_excluded": dict(Counter(e.code for e in excluded if e.side is None)),
        "hips_excluded": dict(Counter(e.code for e in excluded if e.side is not None)),
        "series_left": len({record.scan for record in records}),
        "patients_left": len({record.patient for record in records}),
        "hips": {
            grade.value: sum(record.grade is grade for record in records) for grade in Grade
        },
    }


def write_flow(out_dir: Path, flow: dict[str, Any], excluded: Sequence[Exclusion]) -> None:
    """Write ``flow.json``, ``flow.png`` and ``excluded.csv``."""
    (out_dir / "flow.json").write_text(json.dumps(flow, indent=1) + "\n")
    draw_flow(flow, out_dir / "flow.png")
    with (out_dir / "excluded.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["series_dir", "side", "code", "text"])
        table.writeheader()
        table.writerows(asdict(entry) for entry in excluded)


def summary_lines(flow: Mapping[str, Any], out_dir: Path) -> list[str]:
    """Return counts, and what is worth a look, as lines for the terminal."""
    parts = ", ".join(
        f"{name} {counts['hips']} of {counts['patients']} patients"
        for name, counts in flow["parts"].items()
    )
    lines = [
        f"{flow['series_left']} of {flow['series']} series of {flow['patients_left']} patients "
        f"written to {out_dir}; exclusions are listed in flow.json, flow.png and excluded.csv",
        f"hips: {parts}",
        *(f"note: {text}" for text in (*flow["identity"], *flow["missing"])),
    ]
    if flow["edited_patients"]:
        count = len(flow["edited_patients"])
        lines.append(f"note: the part of {count} patients was edited in hips.csv and is kept")
    return lines
