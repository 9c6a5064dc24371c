"""DXA results as text: one from a form, many from a CSV or XLSX file."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from common.tables.errors import TableError, quote, shorten
from common.tables.headings import Field
from common.tables.importer import Row, import_table, read_values
from db.dxa import NewDxa

FIELDS = (
    Field("patient_id", "identifier", required=True, max_length=64),
    Field("issuer_of_patient_id", "text", max_length=64),
    Field("dxa_date", "date", required=True),
    Field("side", "side"),
    Field("t_score", "number", required=True, low=-8, high=8),
)
COLUMNS = tuple(field.name for field in FIELDS)
MAX_ROWS = 20_000
EARLIEST = date(1900, 1, 1)


class InvalidDxa(ValueError):
    """DXA results that cannot be used; ``problems`` quote values and are not for logs."""

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
        read = read_values(values, FIELDS)
    except TableError as error:
        raise InvalidDxa(error.problems) from None
    if problem := _date_problem(read["dxa_date"], today):
        raise InvalidDxa([problem])
    return _result(read)


def parse_table(data: bytes, *, today: date) -> list[NewDxa]:
    """Return all results of a CSV or XLSX file.

    Raises
    ------
    InvalidDxa
        If any row is invalid or two rows contradict each other.
    """
    try:
        table = import_table(data, FIELDS, max_rows=MAX_ROWS)
    except TableError as error:
        raise InvalidDxa(shorten(error.problems)) from None
    problems = [*table.problems]
    for row in table.rows:
        if problem := _date_problem(row.values["dxa_date"], today):
            problems.append(f"Line {row.line}, {problem}")
    problems = problems or _contradictions(table.rows)
    if problems:
        raise InvalidDxa(shorten(problems))
    return [_result(row.values) for row in table.rows]


def _result(values: Mapping[str, Any]) -> NewDxa:
    return NewDxa(
        patient_id=values["patient_id"],
        issuer_of_patient_id=values.get("issuer_of_patient_id"),
        dxa_date=values["dxa_date"],
        side=values.get("side"),
        t_score=values["t_score"],
    )


def _date_problem(day: date, today: date) -> str:
    """Return what is wrong with a date, ``""`` if nothing is."""
    if day > today:
        return f"dxa_date: {quote(day.isoformat())} is in the future."
    if day < EARLIEST:
        return f"dxa_date: {quote(day.isoformat())} is before {EARLIEST}."
    return ""


def _contradictions(rows: tuple[Row, ...]) -> list[str]:
    first: dict[tuple[object, ...], Row] = {}
    problems = []
    keys = ("patient_id", "issuer_of_patient_id", "dxa_date", "side")
    for row in rows:
        earlier = first.setdefault(tuple(row.values.get(key) for key in keys), row)
        t_scores = earlier.values["t_score"], row.values["t_score"]
        if t_scores[0] != t_scores[1]:
            problems.append(
                f"Lines {earlier.line} and {row.line}: two T-scores of the same measurement "
                f"({t_scores[0]} and {t_scores[1]})."
            )
    return problems
