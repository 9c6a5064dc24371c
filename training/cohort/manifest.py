"""Manifest: the CSV or XLSX file that assigns DXA results to a site's CT series."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from common.tables.errors import TableError, shorten
from common.tables.headings import ColumnMap, Field, parse_column_map
from common.tables.importer import ImportedTable, import_table
from worker.pipeline.demographics import Sex
from worker.pipeline.grading import MAX_DAYS_APART
from worker.pipeline.volume import Side

FIELDS = (
    Field("series_dir", "text", required=True),
    Field("patient_id", "identifier", required=True),
    Field("t_score", "number", required=True, low=-8, high=8),
    Field("side", "side"),
    Field("sex", "sex"),
    Field("age", "age", low=0, high=120),
    Field("height_m", "height_m", low=0.5, high=2.5, aliases=("height", "height_cm")),
    Field("weight_kg", "weight_kg", low=15, high=400, aliases=("weight",)),
    Field("ct_date", "date"),
    Field("dxa_date", "date"),
)
MAX_ROWS = 1_000_000
DATES_APART = "DATES_APART"
DATES_MISSING = "DATES_MISSING"


class ManifestError(ValueError):
    """The manifest cannot be used; the message has one line per error."""


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One line: a series and a DXA result. Height in m, weight in kg, age in years.

    ``side`` : the hip measured by DXA; if None, the T-score is the patient's and applies to
    both hips. Empty values are None.
    """

    line: int
    series_dir: Path
    patient_id: str
    t_score: float
    side: Side | None = None
    sex: Sex | None = None
    age: float | None = None
    height_m: float | None = None
    weight_kg: float | None = None
    ct_date: date | None = None
    dxa_date: date | None = None

    @property
    def days_apart(self) -> int | None:
        """Days between CT and DXA; None where a date is missing."""
        return days_apart(self.ct_date, self.dxa_date)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was understood of a manifest, and all that was not."""

    path: Path
    table: ImportedTable
    rows: tuple[ManifestRow, ...]
    problems: tuple[str, ...]


def days_apart(ct_date: date | None, dxa_date: date | None) -> int | None:
    """Return the days between CT and DXA; None where a date is missing."""
    return None if ct_date is None or dxa_date is None else abs((ct_date - dxa_date).days)


def date_exclusion(
    rows: Iterable[ManifestRow], *, required: bool, header_date: date | None = None
) -> tuple[str, str] | None:
    """Return code and text of an exclusion unless CT is within three months of DXA (Ha 2024).

    ``header_date`` : date of the examination in the DICOM header, for rows without ``ct_date``.
    ``required`` : also exclude a series of which a date is not known.
    """
    for row in rows:
        days = days_apart(row.ct_date or header_date, row.dxa_date)
        if days is not None and days > MAX_DAYS_APART:
            text = f"CT and DXA are {days} days apart, more than {MAX_DAYS_APART}."
            return DATES_APART, text
        if required and days is None:
            missing = "DXA" if row.dxa_date is None else "CT"
            return DATES_MISSING, f"The date of the {missing} is not given."
    return None


def read_column_map(path: Path | None) -> ColumnMap:
    """Read a map of columns, or return an empty one. Raises ManifestError."""
    if path is None:
        return ColumnMap()
    try:
        return parse_column_map(path.read_text(encoding="utf-8"), FIELDS)
    except (OSError, UnicodeDecodeError, TableError) as error:
        raise ManifestError(f"{path} cannot be used: {error}") from None


def inspect_manifest(path: Path, columns: ColumnMap | None = None) -> Manifest:
    """Read a manifest with its problems; a relative ``series_dir`` starts at its folder.

    Raises ManifestError where the file or its headings cannot be used at all.
    """
    try:
        table = import_table(
            path.read_bytes(), FIELDS, max_rows=MAX_ROWS, columns=columns or ColumnMap()
        )
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from None
    except TableError as error:
        raise ManifestError(error_message(path, error.problems)) from None
    rows = tuple(_row(path.parent, row.line, row.values) for row in table.rows)
    return Manifest(path, table, rows, (*table.problems, *contradictions(rows)))


def read_manifest(path: Path, columns: ColumnMap | None = None) -> tuple[ManifestRow, ...]:
    """Return the rows of a manifest.

    Raises ManifestError for a missing column, an invalid value, two results for one hip of one
    series, a series of two patients, a series inside of another, and a patient of two sexes.
    """
    manifest = inspect_manifest(path, columns)
    if manifest.problems:
        raise ManifestError(error_message(path, list(manifest.problems)))
    return manifest.rows


def error_message(path: Path, problems: list[str]) -> str:
    """Return the problems of a table as one message, a long list cut."""
    return "\n".join([f"{path} cannot be used:", *shorten(problems)])


def _row(folder: Path, line: int, values: Mapping[str, object]) -> ManifestRow:
    known = dict(values)
    # normpath: a/ and ./a are one series. Links are kept, because a site may link its folders.
    series_dir = Path(os.path.normpath(folder / str(known.pop("series_dir"))))
    return ManifestRow(line=line, series_dir=series_dir, **known)  # type: ignore[arg-type]


def contradictions(rows: Sequence[ManifestRow]) -> list[str]:
    """Return one line for each contradiction between rows."""
    found = []
    for folder, group in by_series(rows).items():
        numbers = ", ".join(str(row.line) for row in group)
        patients = {row.patient_id: None for row in group}
        if len(patients) > 1:
            names = ", ".join(map(repr, patients))
            found.append(f"Lines {numbers}: one series of several patients ({folder}: {names})")
        sides = [side for row in group for side in ((row.side,) if row.side else ("R", "L"))]
        if len(sides) > len(set(sides)):
            t_scores = ", ".join(str(row.t_score) for row in group)
            found.append(
                f"Lines {numbers}: several results for one hip ({folder}: T {t_scores})"
            )
    return [*found, *_two_sexes(rows), *_nested(rows)]


def _two_sexes(rows: Sequence[ManifestRow]) -> list[str]:
    of_patient: defaultdict[str, list[ManifestRow]] = defaultdict(list)
    for row in rows:
        if row.sex:
            of_patient[row.patient_id].append(row)
    return [
        f"Lines {', '.join(str(row.line) for row in each)}: one patient of two sexes "
        f"({patient!r}: {', '.join(str(row.sex) for row in each)})"
        for patient, each in of_patient.items()
        if len({row.sex for row in each}) > 1
    ]


def _nested(rows: Sequence[ManifestRow]) -> list[str]:
    """Return folders inside of another series' folder, whose files would count twice."""
    lines = {row.series_dir: row.line for row in reversed(rows)}
    return [
        f"Lines {lines[parent]}, {line}: {folder} is inside of {parent}; give the folder of "
        "one series in each line"
        for folder, line in sorted(lines.items(), key=lambda one: one[1])
        for parent in folder.parents
        if parent in lines
    ]


def by_series(rows: Iterable[ManifestRow]) -> dict[Path, tuple[ManifestRow, ...]]:
    """Return the rows of each series, in the order of the manifest."""
    groups: defaultdict[Path, list[ManifestRow]] = defaultdict(list)
    for row in rows:
        groups[row.series_dir].append(row)
    return {folder: tuple(group) for folder, group in groups.items()}


def find_files(folder: Path) -> tuple[Path, ...]:
    """Return all files below a folder, sorted."""
    return tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
