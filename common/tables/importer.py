"""Import of a table: values that could be read, and a problem for each that could not."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from common.tables import values
from common.tables.errors import TableError, UnreadableValue, quote
from common.tables.headings import ColumnMap, Field, Kind, find_columns, simplify
from common.tables.reader import Lines, read_lines
from common.tables.values import DateOrder, Reading

EXAMPLES = 3
DEFAULT_MAP = ColumnMap()

Problem = tuple[int, str]
"""Line and sentence."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file; a field without a value is None."""

    line: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """How one column was read. ``notes`` : number of values by the way they were converted."""

    field: str
    heading: str
    filled: int
    missing: int
    examples: tuple[tuple[str, str], ...]
    notes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ImportedTable:
    """All rows without a problem, all problems, and what was understood."""

    form: str
    rows: tuple[Row, ...]
    problems: tuple[str, ...]
    columns: tuple[ColumnSummary, ...]
    unused: tuple[str, ...]


def import_table(
    data: bytes,
    fields: Sequence[Field],
    *,
    max_rows: int,
    columns: ColumnMap = DEFAULT_MAP,
) -> ImportedTable:
    """Read a CSV or XLSX file.

    Raises TableError where the file, its headings or the number of its rows cannot be used. A
    value that cannot be read is a problem of the result.
    """
    known = {name for each in fields for name in each.headings}
    known |= {simplify(heading) for heading in columns.columns.values()}
    lines = read_lines(
        data,
        lambda headings: sum(simplify(heading) in known for heading in headings),
        encoding=columns.encoding,
    )
    indices = find_columns(lines.headings, fields, columns)
    cells, problems = _read_cells(lines, indices, max_rows)
    used = frozenset(indices.values())
    present = [each for each in fields if each.name in indices]
    # find_columns keeps the order of the fields.
    headings = [lines.headings[indices[each.name]] for each in present]
    rows, texts, summaries = _read_columns(cells, present, columns, headings, problems)
    return ImportedTable(
        form=lines.form,
        rows=rows,
        problems=texts,
        columns=summaries,
        unused=tuple(h for i, h in enumerate(lines.headings) if i not in used and h.strip()),
    )


def _read_cells(
    lines: Lines, indices: Mapping[str, int], max_rows: int
) -> tuple[list[tuple[int, list[str]]], list[Problem]]:
    """Return the used cells of each line, and a problem for each line with too many fields."""
    cells, problems = [], []
    width, used = len(lines.headings), tuple(indices.values())
    for number, row in islice(lines.lines, max_rows + 1):
        if len(row) > width:
            text = (
                f"Line {number} has {len(row)} fields, the header has {width}; the first extra "
                f"one is {quote(row[width])}. Quote a value with a decimal comma, or separate "
                "the columns by semicolons."
            )
            problems.append((number, text))
        cells.append((number, [row[i] if i < len(row) else "" for i in used]))
    if not cells or len(cells) > max_rows:
        raise TableError([f"There must be 1 to {max_rows:,} rows below the header."])
    wrong = {number for number, _ in problems}
    return [cell for cell in cells if cell[0] not in wrong], problems


def read_values(texts: Mapping[str, str], fields: Sequence[Field]) -> dict[str, Any]:
    """Return the values of one row, as of a form. Raises TableError."""
    row: dict[str, Any] = {}
    problems = []
    for each in fields:
        try:
            row[each.name] = read_field(texts.get(each.name, ""), each, None, {}).value
        except UnreadableValue as error:
            problems.append(f"{each.name}: {_told(texts.get(each.name, ''), error)}")
    if problems:
        raise TableError(problems)
    return row


def _read_columns(
    cells: Sequence[tuple[int, list[str]]],
    fields: Sequence[Field],
    columns: ColumnMap,
    headings: Sequence[str],
    problems: list[Problem],
) -> tuple[tuple[Row, ...], tuple[str, ...], tuple[ColumnSummary, ...]]:
    """Return the rows without a problem, all problems by line, and the columns."""
    read: list[dict[str, Any]] = [{} for _ in cells]
    summaries = []
    for index, (each, heading) in enumerate(zip(fields, headings, strict=True)):
        texts = [(number, row[index]) for number, row in cells]
        readings, found = _read_column(texts, each, columns)
        problems = [*problems, *found]
        summaries.append(_summary(each, heading, [text for _, text in texts], readings))
        for row, reading in zip(read, readings, strict=True):
            if reading is not None:
                row[each.name] = reading.value
    bad = {number for number, _ in problems}
    numbered = zip((number for number, _ in cells), read, strict=True)
    rows = tuple(Row(number, row) for number, row in numbered if number not in bad)
    by_line = sorted(problems, key=lambda one: one[0])
    return rows, tuple(text for _, text in by_line), tuple(summaries)


def _read_column(
    texts: Sequence[tuple[int, str]], field: Field, columns: ColumnMap
) -> tuple[list[Reading | None], list[Problem]]:
    """Return the reading of each line, None where there is a problem, and the problems."""
    words = columns.words.get(field.name, {})
    try:
        order = _column_order([text for _, text in texts], field, columns, words)
    except UnreadableValue as error:
        first = texts[0][0] if texts else 0
        return [None] * len(texts), [(first, f"Column {field.name}: {error}.")]
    readings: list[Reading | None] = []
    problems = []
    for number, text in texts:
        try:
            readings.append(read_field(text, field, order, words))
        except UnreadableValue as error:
            readings.append(None)
            problems.append((number, f"Line {number}, {field.name}: {_told(text, error)}"))
    return readings, problems


def _column_order(
    texts: Sequence[str], field: Field, columns: ColumnMap, words: Mapping[str, str]
) -> DateOrder | None:
    """Return the order of dates. Raises UnreadableValue where a column contradicts itself."""
    if field.kind == "date":
        return columns.date_order or values.date_order(texts)
    if field.kind == "sex" and not words and values.ambiguous_sexes(texts):
        raise UnreadableValue(
            "it has H and M, so M may be male or mujer; write F and M, or state the words in "
            "[values.sex]"
        )
    return None


def read_field(
    text: str, field: Field, order: DateOrder | None, words: Mapping[str, str]
) -> Reading:
    """Return one value. ``words`` : replacements of the site. Raises UnreadableValue."""
    text = words.get(values.normalize(text), text)
    if values.is_missing(text):
        if field.required:
            raise UnreadableValue("a value is required")
        return Reading(None)
    if field.kind == "date":
        return values.read_date(text, order)
    reading = READERS[field.kind](text)
    _check_limits(reading.value, field)
    return reading


READERS: Mapping[Kind, Callable[[str], Reading]] = {
    "text": lambda text: Reading(text.strip()),
    "identifier": values.read_identifier,
    "number": values.read_number,
    "height_m": values.read_height_m,
    "weight_kg": values.read_weight_kg,
    "age": values.read_age,
    "sex": values.read_sex,
    "side": values.read_side,
}


def _check_limits(value: object, field: Field) -> None:
    if isinstance(value, str) and field.max_length and len(value) > field.max_length:
        raise UnreadableValue(f"expected at most {field.max_length} characters")
    low, high = field.low, field.high
    if not isinstance(value, float) or low is None or high is None:
        return
    if not low <= value <= high:
        raise UnreadableValue(f"expected {low:g} to {high:g}")


def _told(text: str, error: UnreadableValue) -> str:
    quoted = quote(text) if text.strip() else "empty"
    return f"{quoted}: {error}."


def _summary(
    field: Field, heading: str, texts: Sequence[str], readings: Sequence[Reading | None]
) -> ColumnSummary:
    known = [
        (text, reading)
        for text, reading in zip(texts, readings, strict=True)
        if reading is not None and reading.value is not None
    ]
    examples: dict[str, str] = {}
    for text, reading in known:
        if len(examples) < EXAMPLES and text != str(reading.value):
            examples[text] = str(reading.value)
    return ColumnSummary(
        field=field.name,
        heading=heading,
        filled=len(known),
        missing=sum(r is not None and r.value is None for r in readings),
        examples=tuple(examples.items()),
        notes=Counter(reading.note for _, reading in known if reading.note),
    )
