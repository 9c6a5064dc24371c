"""Manifest: the CSV file that assigns DXA results to a site's CT series."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from worker.pipeline.volume import Side

REQUIRED = ("series_dir", "patient_id", "t_score")
SHOWN_ERRORS = 20


class ManifestError(ValueError):
    """The manifest cannot be used; the message has one line per error."""


def _empty_to_none(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _iso_date(value: object) -> object:
    """Return a DICOM date (20261123) in ISO format; pydantic parses ISO dates itself."""
    text = value.strip() if isinstance(value, str) else ""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else value


def _upper_initial(value: object) -> object:
    """Return the first letter of ``female``, ``Left`` and similar values."""
    return value.strip()[:1].upper() if isinstance(value, str) else value


EmptyToNone = BeforeValidator(_empty_to_none)
OptionalDate = Annotated[date | None, EmptyToNone, BeforeValidator(_iso_date)]
Initial = BeforeValidator(_upper_initial)


class ManifestRow(BaseModel):
    """One line: a series and a DXA result. Height in m, weight in kg, age in years.

    ``side`` : the hip measured by DXA; if None, the T-score is the patient's and applies to
    both hips. Empty values are None.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    line: int
    series_dir: Path
    patient_id: Annotated[str, Field(min_length=1)]
    t_score: Annotated[float, Field(ge=-8, le=8)]
    side: Annotated[Side | None, EmptyToNone, Initial] = None
    sex: Annotated[Literal["F", "M"] | None, EmptyToNone, Initial] = None
    age: Annotated[Annotated[float, Field(ge=0, le=120)] | None, EmptyToNone] = None
    height_m: Annotated[Annotated[float, Field(ge=0.5, le=2.5)] | None, EmptyToNone] = None
    weight_kg: Annotated[Annotated[float, Field(ge=15, le=400)] | None, EmptyToNone] = None
    ct_date: OptionalDate = None
    dxa_date: OptionalDate = None

    @property
    def days_apart(self) -> int | None:
        """Days between CT and DXA; None where a date is missing."""
        if self.ct_date is None or self.dxa_date is None:
            return None
        return abs((self.ct_date - self.dxa_date).days)


def read_manifest(path: Path) -> tuple[ManifestRow, ...]:
    """Return the rows of a manifest; a relative ``series_dir`` starts at the manifest's folder.

    Raises ManifestError for a missing column, an invalid value, two results for one hip of one
    series, a series of two patients, and a patient of two sexes.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            lines = list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path} cannot be read as a CSV in UTF-8: {error}") from error
    missing = [name for name in REQUIRED if name not in (table.fieldnames or ())]
    if missing:
        raise ManifestError(f"{path} has no column {', '.join(missing)}.")
    rows, errors = [], []
    for number, values in enumerate(lines, start=2):
        try:
            row = ManifestRow.model_validate({**values, "line": number})
        except ValidationError as error:
            errors += [
                f"line {number}, {'.'.join(map(str, e['loc']))}: {e['msg']}"
                for e in error.errors(include_input=False)
            ]
            continue
        rows.append(row.model_copy(update={"series_dir": path.parent / row.series_dir}))
    errors += contradictions(rows)
    if not rows and not errors:
        errors = ["there is no row below the header"]
    if errors:
        left = len(errors) - SHOWN_ERRORS
        shown = [*errors[:SHOWN_ERRORS], *([f"… and {left} more"] if left > 0 else [])]
        raise ManifestError("\n".join([f"{path} cannot be used:", *shown]))
    return tuple(rows)


def contradictions(rows: Sequence[ManifestRow]) -> list[str]:
    """Return one line for each contradiction between rows."""
    found = []
    for folder, group in by_series(rows).items():
        numbers = ", ".join(str(row.line) for row in group)
        if len({row.patient_id for row in group}) > 1:
            found.append(f"lines {numbers}: one series of several patients ({folder})")
        sides = [side for row in group for side in ((row.side,) if row.side else ("R", "L"))]
        if len(sides) > len(set(sides)):
            found.append(f"lines {numbers}: several results for one hip ({folder})")
    sexes: defaultdict[str, set[str]] = defaultdict(set)
    lines: defaultdict[str, list[int]] = defaultdict(list)
    for row in rows:
        if row.sex:
            sexes[row.patient_id].add(row.sex)
            lines[row.patient_id].append(row.line)
    found += [
        f"lines {', '.join(map(str, lines[patient]))}: one patient of two sexes"
        for patient, each in sexes.items()
        if len(each) > 1
    ]
    return found


def by_series(rows: Iterable[ManifestRow]) -> dict[Path, tuple[ManifestRow, ...]]:
    """Return the rows of each series, in the order of the manifest."""
    groups: defaultdict[Path, list[ManifestRow]] = defaultdict(list)
    for row in rows:
        groups[row.series_dir].append(row)
    return {folder: tuple(group) for folder, group in groups.items()}
