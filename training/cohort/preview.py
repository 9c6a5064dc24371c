"""What was understood of a manifest, as lines for the terminal (``prepare --dry-run``)."""

from collections.abc import Iterator

from common.tables.errors import quote
from common.tables.importer import ColumnSummary
from training.cohort.manifest import Manifest, by_series, date_exclusion, find_files

SHOWN = 20


def preview_lines(manifest: Manifest, *, require_dates: bool) -> Iterator[str]:
    """Yield format, columns, series and all problems; no DICOM file is read."""
    table, rows = manifest.table, manifest.rows
    yield f"{manifest.path}: {table.form}, {len(rows)} lines understood"
    for column in table.columns:
        yield _column_line(column)
    if table.unused:
        yield f"  not used: {', '.join(map(quote, table.unused))}"
    groups = by_series(rows)
    patients = len({row.patient_id for row in rows})
    yield f"{len(groups)} series of {patients} patients"
    absent = [str(folder) for folder in groups if not find_files(folder)]
    yield from _listed("series without files", absent)
    apart = [
        f"{folder}: {found[1]}"
        for folder, group in groups.items()
        if (found := date_exclusion(group, required=False)) is not None
    ]
    yield from _listed("series excluded by their dates", apart)
    undated = sum(row.days_apart is None for row in rows)
    if undated:
        consequence = "they are excluded" if require_dates else "they are used"
        yield (
            f"{undated} lines without both dates: the date of the CT is taken from the header; "
            f"if a date is still missing {consequence}"
        )
    yield from _listed("problems", list(manifest.problems), every=True)


def _column_line(column: ColumnSummary) -> str:
    heading = "" if column.heading == column.field else f" ({quote(column.heading)})"
    parts = [f"{column.filled} values"]
    if column.missing:
        parts.append(f"{column.missing} empty")
    parts += [f"{count} {note}" for note, count in column.notes.items()]
    parts += [f"{quote(text)} → {value}" for text, value in column.examples[:1]]
    return f"  {column.field}{heading}: {', '.join(parts)}"


def _listed(name: str, lines: list[str], *, every: bool = False) -> Iterator[str]:
    if not lines:
        return
    yield f"{len(lines)} {name}:"
    shown = lines if every else lines[:SHOWN]
    yield from (f"  {line}" for line in shown)
    if len(shown) < len(lines):
        yield f"  … and {len(lines) - len(shown)} more"
