"""One table in several dialects gives one data set; each wrong line is named with its value."""

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Sequence

import openpyxl
import pytest

from common.tables.errors import TableError
from common.tables.headings import ColumnMap, Field, parse_column_map
from common.tables.importer import ImportedTable, import_table

FIELDS = (
    Field("patient_id", "identifier", required=True),
    Field("t_score", "number", required=True, low=-8, high=8),
    Field("dxa_date", "date"),
    Field("sex", "sex"),
    Field("age", "age", low=0, high=120),
    Field("height_m", "height_m", low=0.5, high=2.5, aliases=("height_cm",)),
)
HEADINGS = [field.name for field in FIELDS]
COUNT = 46


def read(data: bytes | str, columns: ColumnMap | None = None) -> ImportedTable:
    data = data.encode() if isinstance(data, str) else data
    return import_table(data, FIELDS, max_rows=100, columns=columns or ColumnMap())


def lines_of(write: Callable[[int], Sequence[object]]) -> list[Sequence[object]]:
    return [write(number) for number in range(COUNT)]


def csv_bytes(
    headings: Sequence[str], rows: Iterable[Sequence[object]], delimiter: str, encoding: str
) -> bytes:
    file = io.StringIO()
    table = csv.writer(file, delimiter=delimiter)
    table.writerow(headings)
    table.writerows(rows)
    return file.getvalue().encode(encoding)


def xlsx_bytes(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(list(headings))
    for row in rows:
        sheet.append(list(row))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def dialects() -> list[bytes]:
    """Forty-six series in four CSV dialects and in a workbook."""
    t = [round(0.5 - 0.1 * n, 1) for n in range(COUNT)]

    def comma(n: int) -> str:
        return str(t[n]).replace(".", ",")

    def day(n: int) -> int:
        return n % 28 + 1

    plain = lines_of(
        lambda n: [f"10{n:02}", t[n], f"2023-02-{day(n):02}", "FM"[n % 2], 40 + n, 1.6]
    )
    german = lines_of(
        lambda n: [f"10{n:02}", comma(n), f"{day(n):02}.02.2023",
                   ("weiblich", "männlich")[n % 2], f"0{40 + n}Y", "1,60"]
    )  # fmt: skip
    korean = lines_of(
        lambda n: [f"10{n:02}.0", t[n], f"2023/2/{day(n)}", "여남"[n % 2], f"{40 + n}.0", 160]
    )
    spanish = lines_of(
        lambda n: [f"10{n:02}", comma(n), f"202302{day(n):02}", ("Mujer", "Hombre")[n % 2],
                   40 + n, "160 cm"]
    )  # fmt: skip
    renamed = ["Patient ID", "T-Score", "DXA date", "Sex", "Age", "height_cm"]
    return [
        csv_bytes(HEADINGS, plain, ",", "utf-8"),
        csv_bytes(renamed, german, ";", "utf-8-sig"),
        csv_bytes(HEADINGS, korean, "\t", "utf-16"),
        csv_bytes(HEADINGS, spanish, ",", "utf-8"),
        xlsx_bytes(renamed, korean),
    ]


def test_the_same_series_in_five_dialects_give_the_same_rows() -> None:
    tables = [read(data) for data in dialects()]

    assert [table.problems for table in tables] == [()] * 5
    assert [table.form for table in tables] == [
        "CSV, UTF-8, delimiter comma",
        "CSV, UTF-8, delimiter semicolon",
        "CSV, UTF-16, delimiter tab",
        "CSV, UTF-8, delimiter comma",
        "XLSX, first sheet",
    ]
    first = tables[0].rows
    assert len(first) == COUNT
    assert first[3].values["t_score"] == 0.2
    for table in tables[1:]:
        assert table.rows == first


def test_the_summary_says_how_values_were_read() -> None:
    columns = {column.field: column for column in read(dialects()[2]).columns}

    assert columns["height_m"].notes == {"read as cm": COUNT}
    assert columns["patient_id"].examples[0] == ("1000.0", "1000")
    assert columns["sex"].notes == {"read as F": 23, "read as M": 23}
    assert (columns["age"].filled, columns["age"].missing) == (COUNT, 0)


def test_an_unquoted_decimal_comma_is_named() -> None:
    table = read("patient_id,t_score,age\nx,-2,6,70\ny,-1.0,60\n")

    assert table.problems == (
        "Line 2 has 4 fields, the header has 3; the first extra one is '70'. Quote a value "
        "with a decimal comma, or separate the columns by semicolons.",
    )
    assert [row.line for row in table.rows] == [3]


def test_every_wrong_value_is_quoted_with_its_line() -> None:
    table = read(
        "patient_id;t_score;sex;age;height_m\n"
        "P1;minus two;F;60;1.6\n"
        '"P\n2";-1;Muj;60;1.6\n'
        "\n"
        ";-9;F;600;16\n"
    )

    assert [problem.partition(": expected")[0] for problem in table.problems] == [
        "Line 2, t_score: 'minus two'",
        "Line 3, sex: 'Muj'",
        "Line 6, patient_id: empty: a value is required.",
        "Line 6, t_score: '-9'",
        "Line 6, age: '600'",
        "Line 6, height_m: '16'",
    ]
    assert table.rows == ()


def test_m_beside_h_is_not_read_as_male() -> None:
    table = read("patient_id,t_score,sex\nP1,-1,H\nP2,-1,M\n")

    assert "M may be male or mujer" in table.problems[0]
    words = parse_column_map('[values.sex]\nH = "M"\nM = "F"\n', FIELDS)
    rows = read("patient_id,t_score,sex\nP1,-1,H\nP2,-1,M\n", words).rows
    assert [row.values["sex"] for row in rows] == ["M", "F"]


def test_a_map_names_columns_words_encoding_and_dates() -> None:
    columns = parse_column_map(
        'encoding = "cp1252"\ndate_order = "dmy"\n'
        '[columns]\npatient_id = "Fallnummer"\nt_score = "T-Wert Hüfte"\ndxa_date = "Datum"\n'
        '[values.sex]\n1 = "M"\n2 = "F"\n',
        FIELDS,
    )
    text = "Fallnummer;T-Wert Hüfte;Datum;Sex\n7;-1,5;01/02/2023;2\n"

    (row,) = read(text.encode("cp1252"), columns).rows

    assert (row.values["patient_id"], row.values["t_score"]) == ("7", -1.5)
    assert (str(row.values["dxa_date"]), row.values["sex"]) == ("2023-02-01", "F")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[columns]\nheigth = 'x'\n", "unknown field 'heigth'"),
        ("order = 'dmy'\n", "unknown key 'order'"),
        ("date_order = 'ymd'\n", "date_order is 'ymd'; expected 'dmy' or 'mdy'"),
        ("[columns\n", "not TOML"),
        ("[values]\nsex = 1\n", r"expected a table \[values\]"),
    ],
)
def test_a_wrong_map_is_refused(text: str, problem: str) -> None:
    with pytest.raises(TableError, match=problem):
        parse_column_map(text, FIELDS)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("patient_id,t_score,heigth_m\nP,1,1\n", "'heigth_m' is not known; is it height_m?"),
        ("patient_id,T-score,t_score\nP,1,1\n", "'T-score', 't_score' are all t_score"),
        (
            "patient_id,result\nP,1\n",
            "no column t_score; the columns are 'patient_id', 'result'",
        ),
        ("patient_id,t_score\n", "1 to 100 rows"),
        ("", "no column patient_id, t_score; the columns are none"),
    ],
)
def test_unusable_headings_are_refused(text: str, problem: str) -> None:
    with pytest.raises(TableError, match=problem):
        read(text)


def test_columns_that_are_not_used_are_listed() -> None:
    assert read("patient_id,doctor,t_score\nP,X,1\n").unused == ("doctor",)


def test_excels_separator_line_is_not_the_header() -> None:
    (row,) = read("sep=;\r\npatient_id;t_score\r\nP;-1\r\n").rows

    assert (row.line, row.values["t_score"]) == (3, -1.0)


def test_another_encoding_is_refused_with_its_line() -> None:
    data = b"patient_id,t_score\nP,1\n" + "Müller,1\n".encode("latin-1")

    with pytest.raises(TableError, match=r"not a CSV in UTF-8 \(line 3\)"):
        read(data)


def zipped(**parts: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"PK\x03\x04 is not all of it", "no XLSX"),
        (zipped(a=b"x"), "cannot be read as XLSX"),
        (zipped(a=b"\0" * (65 * 2**20)), "more than 64 MB"),
        (zipped(a=b"<!--" + b"x" * 5000 + b"--><!DOCTYPE a>"), "document type"),
        (zipped(a='<?xml?><!DOCTYPE a [<!ENTITY b "b">]>'.encode("utf-16")), "document type"),
    ],
    ids=["truncated", "other zip", "bomb", "late entities", "entities"],
)
def test_a_hostile_workbook_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(TableError, match=problem):
        read(data)
