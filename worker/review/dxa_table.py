"""Parser of DXA results: one from a form, many from a CSV file."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import islice
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from db.dxa import NewDxa

COLUMNS = ("patient_id", "issuer_of_patient_id", "dxa_date", "side", "t_score")
REQUIRED = ("patient_id", "dxa_date", "t_score")
MAX_ROWS = 20_000
MAX_PROBLEMS = 20
MAX_COLUMNS = 100
MAX_HEADER = 64 * 1024


def _blank_to_none(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _dicom_date_to_iso(value: object) -> object:
    text = value.strip() if isinstance(value, str) else ""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else value


def _initial(value: object) -> object:
    """Accept ``left`` and ``Right`` for L and R."""
    return value.strip()[:1].upper() if isinstance(value, str) else value


def _comma_to_point(value: object) -> object:
    return value.replace(",", ".") if isinstance(value, str) else value


class DxaRow(BaseModel):
    """One result as text; other columns are ignored."""

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)

    patient_id: Annotated[str, Field(min_length=1, max_length=64)]
    issuer_of_patient_id: Annotated[
        Annotated[str, Field(max_length=64)] | None, BeforeValidator(_blank_to_none)
    ] = None
    dxa_date: Annotated[date, Field(ge=date(1900, 1, 1)), BeforeValidator(_dicom_date_to_iso)]
    side: Annotated[
        Literal["R", "L"] | None, BeforeValidator(_initial), BeforeValidator(_blank_to_none)
    ] = None
    t_score: Annotated[float, Field(ge=-8, le=8), BeforeValidator(_comma_to_point)]


class InvalidDxa(ValueError):
    """DXA results that cannot be parsed; ``problems`` do not repeat the input."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems


def parse_row(values: Mapping[str, str], *, today: date) -> NewDxa:
    """Return one result.

    Raises
    ------
    InvalidDxa
        If a value is missing, invalid or in the future.
    """
    try:
        row = DxaRow.model_validate(dict(values))
    except ValidationError as error:
        raise InvalidDxa(_problems(error)) from None
    if row.dxa_date > today:
        raise InvalidDxa(["dxa_date: is in the future"])
    return NewDxa(**row.model_dump())


def parse_csv(data: bytes, *, today: date) -> list[NewDxa]:
    """Return all results of a CSV file (comma or semicolon, UTF-8).

    Raises
    ------
    InvalidDxa
        If any row is invalid or two rows contradict each other.
    """
    rows = _read_csv(data)
    results, problems = [], []
    for line, values in enumerate(rows, start=2):
        try:
            results.append(parse_row(values, today=today))
        except InvalidDxa as error:
            problems += [f"Line {line}, {problem}" for problem in error.problems]
    problems += _contradictions(results) if not problems else []
    if problems:
        hidden = len(problems) - MAX_PROBLEMS
        more = [f"… and {hidden} more"] if hidden > 0 else []
        raise InvalidDxa([*problems[:MAX_PROBLEMS], *more])
    return results


def _read_csv(data: bytes) -> list[dict[str, str]]:
    """Return the values of ``COLUMNS`` by row; the memory is bounded for any file."""
    try:
        text = data.decode("utf-8-sig")
        header = text[:MAX_HEADER].partition("\n")[0]
        delimiter = ";" if header.count(";") > header.count(",") else ","
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        columns = _columns(next(reader, []))
        rows = [
            {name: row[index] for name, index in columns.items() if index < len(row)}
            for row in islice((row for row in reader if row), MAX_ROWS + 1)
        ]
    except UnicodeDecodeError:
        raise InvalidDxa(["The file is not a CSV in UTF-8."]) from None
    except csv.Error:
        raise InvalidDxa(["The file is not a CSV."]) from None
    if not rows or len(rows) > MAX_ROWS:
        raise InvalidDxa([f"There must be 1 to {MAX_ROWS:,} rows below the header."])
    return rows


def _columns(header: Sequence[str]) -> dict[str, int]:
    """Return the index of each of ``COLUMNS`` that the header names."""
    if len(header) > MAX_COLUMNS:
        raise InvalidDxa([f"There must be at most {MAX_COLUMNS} columns."])
    indices = {name.strip(): index for index, name in enumerate(header)}
    missing = [name for name in REQUIRED if name not in indices]
    if missing:
        raise InvalidDxa([f"There is no column {', '.join(missing)}."])
    return {name: indices[name] for name in COLUMNS if name in indices}


def _contradictions(results: list[NewDxa]) -> list[str]:
    first: dict[tuple[object, ...], tuple[int, float]] = {}
    problems = []
    for line, one in enumerate(results, start=2):
        key = (one.patient_id, one.issuer_of_patient_id, one.dxa_date, one.side)
        first_line, t_score = first.setdefault(key, (line, one.t_score))
        if t_score != one.t_score:
            problems.append(
                f"Lines {first_line} and {line}: two T-scores of the same measurement"
            )
    return problems


def _problems(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(map(str, one['loc'][:1]))}: {one['msg']}"
        for one in error.errors(include_input=False, include_url=False)
    ]
