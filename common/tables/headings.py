"""Which column holds which field."""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from common.tables.errors import TableError, quote
from common.tables.values import DateOrder, normalize

Kind = Literal[
    "text", "identifier", "number", "height_m", "weight_kg", "age", "sex", "side", "date"
]
SIMILAR = 0.8


@dataclass(frozen=True, slots=True)
class Field:
    """A value of a row. ``aliases`` : further headings. ``low``, ``high`` : accepted range."""

    name: str
    kind: Kind
    required: bool = False
    low: float | None = None
    high: float | None = None
    max_length: int | None = None
    aliases: tuple[str, ...] = ()

    @property
    def headings(self) -> tuple[str, ...]:
        """The headings of this field, simplified."""
        return tuple(simplify(name) for name in (self.name, *self.aliases))


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """What a site states about its table.

    ``columns`` : heading of a field. ``words`` : value of a word, by field.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    date_order: DateOrder | None = None
    encoding: str | None = None


def parse_column_map(text: str, fields: Sequence[Field]) -> ColumnMap:
    """Read a map of columns in TOML. Raises TableError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TableError([f"The map of columns is not TOML: {error}"]) from None
    known = {"columns", "values", "date_order", "encoding"}
    problems = [
        f"The map of columns has an unknown key {quote(key)}; it may have {', '.join(known)}."
        for key in sorted(table.keys() - known)
    ]
    problems += [
        f"The map of columns has {key} = {quote(str(table[key]))}; expected a table [{key}]."
        for key in ("columns", "values")
        if not _is_table(table.get(key, {}), nested=key == "values")
    ]
    if problems:
        raise TableError(problems)
    names = [each.name for each in fields]
    for section in ("columns", "values"):
        problems += [
            f"[{section}] has an unknown field {quote(name)}; expected {', '.join(names)}."
            for name in table.get(section, {})
            if name not in names
        ]
    order = table.get("date_order")
    if order not in (None, *get_args(DateOrder)):
        problems.append(f"date_order is {quote(str(order))}; expected 'dmy' or 'mdy'.")
    if problems:
        raise TableError(problems)
    return ColumnMap(
        columns={name: str(heading) for name, heading in table.get("columns", {}).items()},
        words={name: _words(words) for name, words in table.get("values", {}).items()},
        date_order=order,
        encoding=table.get("encoding"),
    )


def _is_table(value: object, *, nested: bool) -> bool:
    """Return whether a value is a table, and with ``nested`` a table of tables."""
    if not isinstance(value, dict):
        return False
    return not nested or all(isinstance(each, dict) for each in value.values())


def _words(words: Mapping[str, Any]) -> dict[str, str]:
    return {normalize(word): str(value) for word, value in words.items()}


def simplify(heading: str) -> str:
    """Return a heading without case, blanks and punctuation: ``Patient ID`` → patientid."""
    return re.sub(r"[\W_]+", "", normalize(heading))


def find_columns(
    headings: Sequence[str], fields: Sequence[Field], columns: ColumnMap
) -> dict[str, int]:
    """Return the index of the column of each field that the table has.

    Raises TableError for a missing or doubled column and for a misspelled heading.
    """
    simple = [simplify(heading) for heading in headings]
    indices: dict[str, int] = {}
    problems = []
    for each in fields:
        mapped = columns.columns.get(each.name)
        names = each.headings if mapped is None else (simplify(mapped),)
        found = [index for index, name in enumerate(simple) if name in names]
        if len(found) > 1:
            named = ", ".join(quote(headings[index]) for index in found)
            problems.append(f"The columns {named} are all {each.name}; leave one.")
        elif found:
            indices[each.name] = found[0]
        elif mapped is not None:
            problems.append(f"There is no column {quote(mapped)}, mapped to {each.name}.")
    absent = [each for each in fields if each.name not in indices]
    missing = [each.name for each in absent if each.required]
    if missing and not problems:
        listed = ", ".join(map(quote, headings)) or "none"
        problems.append(f"There is no column {', '.join(missing)}; the columns are {listed}.")
    problems += _misspelled(headings, frozenset(indices.values()), absent)
    if problems:
        raise TableError(problems)
    return indices


def _misspelled(
    headings: Sequence[str], used: frozenset[int], absent: Sequence[Field]
) -> list[str]:
    names = {simple: each.name for each in absent for simple in each.headings}
    problems = []
    for index, heading in enumerate(headings):
        near = difflib.get_close_matches(simplify(heading)[:64], names, 1, SIMILAR)
        if near and index not in used:
            problems.append(
                f"The column {quote(heading)} is not known; is it {names[near[0]]}? Rename it, "
                "or map it."
            )
    return problems
