"""DXA results as they are typed and exported: taken whole, or refused line by line."""

from datetime import date

import pytest

from db.dxa import NewDxa
from worker.review.dxa_table import TableProblem, read_one, read_table

TODAY = date(2026, 11, 26)
HEAD = "patient_id,dxa_date,side,t_score\n"


def test_a_table_is_read() -> None:
    text = (
        "patient_id;issuer_of_patient_id;dxa_date;side;t_score;doctor\r\n"
        "P1;General Hospital;2026-10-01;left;-2,6;X\r\n"
        " P2 ;;20261002;;-1.0;Y\r\n"
    )

    assert read_table(b"\xef\xbb\xbf" + text.encode(), today=TODAY) == [
        NewDxa("P1", "General Hospital", date(2026, 10, 1), "L", -2.6),
        NewDxa("P2", None, date(2026, 10, 2), None, -1.0),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "There is no column patient_id, dxa_date, t_score"),
        ("patient_id,t_score\nP,1\n", "There is no column dxa_date"),
        (HEAD, "1 to 20,000 rows"),
        (HEAD + "P,2026-10-01,,-9\n", "Line 2, t_score"),
        (HEAD + "P,2026-10-01,,nan\n", "Line 2, t_score"),
        (HEAD + "P,2026-10-01,,\n", "Line 2, t_score"),
        (HEAD + "P,1.10.2026,,-1\n", "Line 2, dxa_date"),
        (HEAD + "P,2026-11-27,,-1\n", "Line 2, dxa_date: lies in the future"),
        (HEAD + "P,2026-10-01,spine,-1\n", "Line 2, side"),
        (HEAD + ",2026-10-01,,-1\n", "Line 2, patient_id"),
        (HEAD + "P,2026-10-01,R,-1\nP,2026-10-01,R,-2\n", "Lines 2 and 3: two T-scores"),
        (HEAD + '"P,2026-10-01,,-1\n', "not a CSV"),
    ],
)
def test_what_is_wrong_is_said_by_line_without_what_stands_there(text: str, said: str) -> None:
    with pytest.raises(TableProblem) as problem:
        read_table(text.encode(), today=TODAY)

    told = "\n".join(problem.value.lines)
    assert said in told
    assert "spine" not in told


def test_not_utf_8() -> None:
    with pytest.raises(TableProblem, match="UTF-8"):
        read_table((HEAD + "Müller,2026-10-01,,-1").encode("latin-1"), today=TODAY)


def test_many_problems_are_cut_short() -> None:
    with pytest.raises(TableProblem) as problem:
        read_table((HEAD + "P,x,,-1\n" * 30).encode(), today=TODAY)

    assert problem.value.lines[-1] == "… and 10 more"
    assert len(problem.value.lines) == 21


def test_one_result_from_the_form() -> None:
    values = {
        "patient_id": "P",
        "issuer_of_patient_id": "",
        "dxa_date": "2026-10-01",
        "side": "R",
    }

    assert read_one({**values, "t_score": "-2.5"}, today=TODAY).t_score == -2.5
    with pytest.raises(TableProblem):
        read_one({**values, "t_score": "low"}, today=TODAY)
