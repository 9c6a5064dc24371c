"""Single values of tables: accepted forms, and forms that are refused with what is expected."""

from datetime import date

import pytest

from common.tables import values
from common.tables.errors import UnreadableValue

DAY = date(2023, 2, 10)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-2.6", -2.6),
        ("-2,6", -2.6),
        ("−2,6", -2.6),
        ("+1", 1.0),
        ("- .5", -0.5),
        ("－1．5", -1.5),
        ("-2,9128024868101924", -2.9128024868101924),
        ("-3.2e-05", -3.2e-05),
    ],
)
def test_numbers(text: str, expected: float) -> None:
    assert values.read_number(text).value == expected


@pytest.mark.parametrize("text", ["", "two", "1,234.5", "1e3", "inf", "-2.6 SD", "--1", "1 2"])
def test_numbers_that_are_refused(text: str) -> None:
    with pytest.raises(UnreadableValue, match="expected a number"):
        values.read_number(text)


@pytest.mark.parametrize("text", ["1.68", "1,68", "168", "168.0", "168 cm", "1.68 m", "168cm"])
def test_heights(text: str) -> None:
    assert values.read_height_m(text).value == pytest.approx(1.68)


@pytest.mark.parametrize("text", ["67", "67.0", "067Y", "67 years", "804M", "67세"])
def test_ages(text: str) -> None:
    assert values.read_age(text).value == 67


@pytest.mark.parametrize(
    "text",
    ["2023-02-10", "20230210", "20230210.0", "2023/2/10", "2023.02.10", "2023. 2. 10.",
     "10.02.2023", "10.2.2023", "2023-02-10 00:00:00", "2023-02-10T08:30:00Z", "10-Feb-2023",
     "10 February 2023"],
)  # fmt: skip
def test_dates(text: str) -> None:
    assert values.read_date(text, None).value == DAY


def test_dates_with_slashes_need_the_order_of_their_column() -> None:
    assert values.read_date("10/02/2023", "dmy").value == DAY
    assert values.read_date("02/10/2023", "mdy").value == DAY
    with pytest.raises(UnreadableValue, match="may be exchanged"):
        values.read_date("10/02/2023", None)

    assert values.date_order(["10/02/2023", "13/02/2023"]) == "dmy"
    assert values.date_order(["10/02/2023", "02/13/2023", "13.01.2023"]) == "mdy"
    assert values.date_order(["10/02/2023", "2023-02-13"]) is None
    with pytest.raises(UnreadableValue, match="others the month"):
        values.date_order(["13/02/2023", "02/13/2023"])


@pytest.mark.parametrize("text", ["2023-13-01", "31.02.2023", "soon", "45306", "10.02.23"])
def test_dates_that_are_refused(text: str) -> None:
    with pytest.raises(UnreadableValue):
        values.read_date(text, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("F", "F"), ("female", "F"), ("W", "F"), ("Weiblich", "F"), ("Mujer", "F"), ("여", "F"),
     ("女性", "F"), ("М", "M"), ("masculin", "M"), ("남자", "M"), ("Uomo", "M")],
)  # fmt: skip
def test_sexes(text: str, expected: str) -> None:
    assert values.read_sex(text).value == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("L", "L"), ("left", "L"), ("Hip, left", "L"), ("linke Hüfte", "L"), ("derecha", "R"),
     ("우측", "R"), ("Rt. femoral neck", "R")],
)  # fmt: skip
def test_sides(text: str, expected: str) -> None:
    assert values.read_side(text).value == expected


@pytest.mark.parametrize("text", ["Lumbar L1-L4", "L1", "both", "left right", "Lendenwirbel"])
def test_sides_that_are_refused(text: str) -> None:
    with pytest.raises(UnreadableValue, match="expected L or R"):
        values.read_side(text)


@pytest.mark.parametrize("text", ["1", "Muj", "divers", "O"])
def test_sexes_that_are_refused(text: str) -> None:
    with pytest.raises(UnreadableValue, match="expected F or M"):
        values.read_sex(text)
