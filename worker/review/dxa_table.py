"""DXA results as people type and export them: one from a form, many from a CSV."""

import csv
import io
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from db.dxa import NewDxa

COLUMNS = ("patient_id", "issuer_of_patient_id", "dxa_date", "side", "t_score")
REQUIRED = ("patient_id", "dxa_date", "t_score")
MAX_ROWS = 20_000
SHOWN_PROBLEMS = 20


def _blank(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _date(value: object) -> object:
    """DICOM dates (20261123) beside ISO ones."""
    text = value.strip() if isinstance(value, str) else ""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else value


def _initial(value: object) -> object:
    """``left`` and ``Right`` by their first letter."""
    return value.strip()[:1].upper() if isinstance(value, str) else value


def _decimal_comma(value: object) -> object:
    return value.replace(",", ".") if isinstance(value, str) else value


class Line(BaseModel):
    """One result as written."""

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)

    patient_id: Annotated[str, Field(min_length=1, max_length=64)]
    issuer_of_patient_id: Annotated[
        Annotated[str, Field(max_length=64)] | None, BeforeValidator(_blank)
    ] = None
    dxa_date: Annotated[date, BeforeValidator(_date)]
    side: Annotated[
        Literal["R", "L"] | None, BeforeValidator(_initial), BeforeValidator(_blank)
    ] = None
    t_score: Annotated[float, Field(ge=-8, le=8), BeforeValidator(_decimal_comma)]


class TableProblem(ValueError):
    """The table cannot be taken; ``lines`` say why, without repeating what stands there."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(lines)
        self.lines = lines


def read_one(values: Mapping[str, str], *, today: date) -> NewDxa:
    """One result; raises TableProblem."""
    try:
        line = Line.model_validate(dict(values))
    except ValidationError as error:
        raise TableProblem(_problems(error)) from None
    if line.dxa_date > today:
        raise TableProblem(["dxa_date: lies in the future"])
    return NewDxa(**line.model_dump())


def read_table(data: bytes, *, today: date) -> list[NewDxa]:
    """All results of a CSV (comma or semicolon, UTF-8); raises TableProblem, or takes all."""
    try:
        text = data.decode("utf-8-sig")
        head = text.partition("\n")[0]
        delimiter = ";" if head.count(";") > head.count(",") else ","
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines = list(rows)
        names = [name.strip() for name in rows.fieldnames or ()]
    except UnicodeDecodeError:
        raise TableProblem(["The file is not a CSV in UTF-8."]) from None
    except csv.Error:
        raise TableProblem(["The file is not a CSV."]) from None
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise TableProblem([f"There is no column {', '.join(missing)}."])
    if not lines or len(lines) > MAX_ROWS:
        raise TableProblem([f"There must be 1 to {MAX_ROWS:,} rows below the header."])
    results, problems = [], []
    for number, values in enumerate(lines, start=2):
        named = {(k or "").strip(): v for k, v in values.items() if isinstance(v, str)}
        try:
            results.append(read_one(named, today=today))
        except TableProblem as problem:
            problems += [f"Line {number}, {line}" for line in problem.lines]
    problems += _contradictions(results) if not problems else []
    if problems:
        left = len(problems) - SHOWN_PROBLEMS
        more = [f"… and {left} more"] if left > 0 else []
        raise TableProblem([*problems[:SHOWN_PROBLEMS], *more])
    return results


def _contradictions(results: list[NewDxa]) -> list[str]:
    seen: dict[tuple[object, ...], tuple[int, float]] = {}
    found = []
    for number, one in enumerate(results, start=2):
        key = (one.patient_id, one.issuer_of_patient_id, one.dxa_date, one.side)
        line, t_score = seen.setdefault(key, (number, one.t_score))
        if t_score != one.t_score:
            found.append(f"Lines {line} and {number}: two T-scores of one measurement")
    return found


def _problems(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(map(str, one['loc'][:1]))}: {one['msg']}"
        for one in error.errors(include_input=False, include_url=False)
    ]
