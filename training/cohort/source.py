"""Origin and split of a data set, kept beside its table.

``source.json``  whether all of it is simulated, and how it was split
``split.csv``    part of every patient that the data set has ever had
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from training.cohort.split import SplitPart

SOURCE, LEDGER = "source.json", "split.csv"


@dataclass(frozen=True, slots=True)
class Source:
    """Origin and split of a data set.

    ``split`` : ``shares`` draws exact shares of a cohort that does not grow; ``hash`` decides
    for each patient alone. ``simulated`` : no scan is of a patient.
    """

    simulated: bool
    split: Literal["shares", "hash"]
    seed: int


def write_source(folder: Path, source: Source) -> None:
    """Write ``source.json``."""
    (folder / SOURCE).write_text(json.dumps(asdict(source), indent=1) + "\n")


def read_source(folder: Path) -> Source | None:
    """Return the origin of a data set, None where none is recorded."""
    try:
        values: dict[str, Any] = json.loads((folder / SOURCE).read_text())
    except FileNotFoundError:
        return None
    return Source(**values)


def check_seed(folder: Path, seed: int) -> None:
    """Raise ValueError where a data set was split with another seed."""
    source = read_source(folder)
    if source is not None and source.seed != seed:
        raise ValueError(
            f"{folder} was split with --seed {source.seed}; --seed {seed} would move patients "
            f"out of its test set. Use --seed {source.seed}, or another --out"
        )


def read_parts(folder: Path, table: str) -> dict[str, SplitPart]:
    """Return the part of each patient so far; an edit in the table is newer than the ledger."""
    parts: dict[str, SplitPart] = {}
    for name in (LEDGER, table):
        if (folder / name).exists():
            with (folder / name).open(newline="", encoding="utf-8") as file:
                for line in csv.DictReader(file):
                    if line.get("part"):
                        parts[line["patient"]] = line["part"]  # type: ignore[assignment]
    return parts


def write_parts(folder: Path, parts: Mapping[str, SplitPart]) -> None:
    """Write ``split.csv``."""
    with (folder / LEDGER).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["patient", "part"])
        table.writerows(sorted(parts.items()))
