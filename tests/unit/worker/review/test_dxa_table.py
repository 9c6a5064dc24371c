"""Parsing of DXA results: all rows of a file are valid, or the problems are listed by line."""

import tracemalloc
from datetime import date

import pytest

from db.dxa import NewDxa
from worker.review.dxa_table import InvalidDxa, parse_row, parse_table

TODAY = date(2026, 11, 26)
HEADER = "patient_id,dxa_date,side,t_score\n"


def test_a_table_is_read() -> None:
    text = (
        "patient_id;issuer_of_patient_id;dxa_date;side;t_score;doctor\r\n"
        "P1;General Hospital;01.10.2026;left;-2,6;X\r\n"
        " P2 ;;20261002;;-1.0;Y\r\n"
    )

    assert parse_table(b"\xef\xbb\xbf" + text.encode(), today=TODAY) == [
        NewDxa("P1", "General Hospital", date(2026, 10, 1), "L", -2.6),
        NewDxa("P2", None, date(2026, 10, 2), None, -1.0),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "There is no column patient_id, dxa_date, t_score"),
        ("patient_id,t_score\nP,1\n", "There is no column dxa_date"),
        (HEADER, "1 to 20,000 rows"),
        (HEADER + "P,2026-10-01,,-9\n", "Line 2, t_score"),
        (HEADER + "P,2026-10-01,,nan\n", "Line 2, t_score"),
        (HEADER + "P,2026-10-01,,\n", "Line 2, t_score"),
        (HEADER + "P,1/10/2026,,-1\n", "Line 2, dxa_date: '1/10/2026': day and month may be"),
        (HEADER + "P,2026-11-27,,-1\n", "Line 2, dxa_date: '2026-11-27' is in the future"),
        (HEADER + "P,2026-10-01,spine,-1\n", "Line 2, side: 'spine': expected L or R"),
        (HEADER + "P,2026-10-01,R,-2,6\n", "Line 2 has 5 fields, the header has 4"),
        (HEADER + ",2026-10-01,,-1\n", "Line 2, patient_id"),
        (HEADER + "P,2026-10-01,R,-1\nP,2026-10-01,R,-2\n", "Lines 2 and 3: two T-scores"),
        (HEADER + '"P,2026-10-01,,-1\n', "not a CSV"),
    ],
)
def test_problems_name_the_line_and_quote_the_value(text: str, expected: str) -> None:
    with pytest.raises(InvalidDxa) as raised:
        parse_table(text.encode(), today=TODAY)

    problems = "\n".join(raised.value.problems)
    assert expected in problems


def test_not_utf_8() -> None:
    with pytest.raises(InvalidDxa, match="UTF-8"):
        parse_table((HEADER + "Müller,2026-10-01,,-1").encode("latin-1"), today=TODAY)


def test_many_problems_are_cut_short() -> None:
    with pytest.raises(InvalidDxa) as raised:
        parse_table((HEADER + "P,x,,-1\n" * 30).encode(), today=TODAY)

    assert raised.value.problems[-1] == "… and 10 more"
    assert len(raised.value.problems) == 21


def test_one_result_from_the_form() -> None:
    values = {
        "patient_id": "P",
        "issuer_of_patient_id": "",
        "dxa_date": "2026-10-01",
        "side": "R",
    }

    assert parse_row({**values, "t_score": "-2.5"}, today=TODAY).t_score == -2.5
    with pytest.raises(InvalidDxa):
        parse_row({**values, "t_score": "low"}, today=TODAY)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (HEADER.encode() + b"x\n" * 2_000_000, "There must be 1 to"),
        (b"patient_id,dxa_date,t_score" + b",a" * 1_000_000 + b"\nx\n", "at most 100 columns"),
        (HEADER.encode() + b"x" * 2_000_000, "not a CSV"),
    ],
    ids=["rows", "columns", "field"],
)
def test_a_file_that_expands_is_refused_within_bounded_memory(
    data: bytes, problem: str
) -> None:
    tracemalloc.start()
    with pytest.raises(InvalidDxa, match=problem):
        parse_table(data, today=TODAY)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 100 * 2**20


def test_columns_that_are_not_used_take_no_memory() -> None:
    header = HEADER.rstrip() + "".join(f",c{n}" for n in range(90))
    rows = "".join(f"P{n},2026-10-01,L,-1{',' * 90}\n" for n in range(1000))

    assert len(parse_table(f"{header}\n{rows}".encode(), today=TODAY)) == 1000


@pytest.mark.parametrize("day", ["0001-01-01", "1899-12-31"])
def test_a_date_before_dxa_existed_is_refused(day: str) -> None:
    with pytest.raises(InvalidDxa):
        parse_row({"patient_id": "P", "dxa_date": day, "t_score": "-1"}, today=TODAY)
