"""Lines of a CSV or XLSX file, with their numbers; the memory is bounded for any file."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from common.tables.errors import TableError
from common.tables.xlsx import is_xlsx, read_xlsx

MAX_COLUMNS = 100
MAX_HEADER = 64 * 1024
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}

Line = tuple[int, list[str]]


@dataclass(frozen=True, slots=True)
class Lines:
    """Headings, and the numbered lines below them that are not blank.

    ``form`` : format, as words.
    """

    form: str
    headings: tuple[str, ...]
    lines: Iterator[Line]


def read_lines(
    data: bytes, recognized: Callable[[Sequence[str]], int], *, encoding: str | None = None
) -> Lines:
    """Return the lines of a table.

    ``recognized`` : number of headings that the caller knows, by which the delimiter is found.

    Raises TableError for another format. The iterator raises it too.
    """
    if is_xlsx(data):
        numbered = read_xlsx(data, MAX_COLUMNS)
        return _below_headings("XLSX, first sheet", numbered)
    text, name = _decode(data, encoding)
    lines, first_line = _without_sep(text)
    header = lines[:MAX_HEADER].partition("\n")[0]
    delimiter = _delimiter(header, recognized)
    form = f"CSV, {name}, delimiter {DELIMITERS[delimiter]}"
    return _below_headings(form, _read_csv(lines, delimiter, first_line))


def _decode(data: bytes, encoding: str | None) -> tuple[str, str]:
    if encoding is None:
        utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        encoding = "utf-16" if utf16 else "utf-8-sig"
    try:
        return data.decode(encoding), encoding.removesuffix("-sig").upper()
    except (UnicodeDecodeError, LookupError):
        line = data[: _first_bad_byte(data)].count(b"\n") + 1
        raise TableError(
            [
                f"The file is not a CSV in {encoding.removesuffix('-sig').upper()} (line "
                f"{line}). Save it as CSV UTF-8 or XLSX, or state its encoding in the map "
                "of columns."
            ]
        ) from None


def _first_bad_byte(data: bytes) -> int:
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _without_sep(text: str) -> tuple[str, int]:
    """Return the text without Excel's line ``sep=;``, and the number of its first line."""
    if text[:4].casefold() != "sep=":
        return text, 1
    return text.partition("\n")[2], 2


def _delimiter(header: str, recognized: Callable[[Sequence[str]], int]) -> str:
    def quality(delimiter: str) -> tuple[int, int]:
        try:
            fields = next(csv.reader([header], delimiter=delimiter), [])
        except csv.Error:
            return 0, 0
        return recognized(fields[:MAX_COLUMNS]), len(fields)

    return max(DELIMITERS, key=quality)


def _read_csv(text: str, delimiter: str, first_line: int) -> Iterator[Line]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    start = first_line
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = f"Line {start}: the file is not a CSV: {error}. Check the quotes."
            raise TableError([problem]) from None
        yield start, fields
        start = first_line + reader.line_num


def _below_headings(form: str, numbered: Iterator[Line]) -> Lines:
    _, headings = next(numbered, (0, []))
    if len(headings) > MAX_COLUMNS:
        raise TableError([f"There must be at most {MAX_COLUMNS} columns."])
    lines = (line for line in numbered if any(map(str.strip, line[1])))
    return Lines(form, tuple(headings), lines)
