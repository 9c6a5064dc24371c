"""Manifest of a site: accepted values, errors and their messages."""

from datetime import date
from pathlib import Path

import pytest

from training.cohort.manifest import (
    ManifestError,
    by_series,
    date_exclusion,
    read_column_map,
    read_manifest,
)

HEADER = "series_dir,patient_id,t_score,side,sex,age,height_m,weight_kg,ct_date,dxa_date"


def write(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "site.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8-sig")
    return path


def error_text(path: Path) -> str:
    with pytest.raises(ManifestError) as raised:
        read_manifest(path)
    return str(raised.value)


def test_full_row_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "ct/1,P1,-2.5,left,female,71,1.58,54.5,2024-03-01,20240315")

    (row,) = read_manifest(path)

    assert row.series_dir == tmp_path / "ct" / "1"
    assert (row.patient_id, row.t_score, row.side, row.sex) == ("P1", -2.5, "L", "F")
    assert (row.age, row.height_m, row.weight_kg) == (71, 1.58, 54.5)
    assert row.dxa_date == date(2024, 3, 15)
    assert row.days_apart == 14


def test_optional_columns_may_be_empty_or_absent(tmp_path: Path) -> None:
    (empty,) = read_manifest(write(tmp_path, "a,P1,-1.0,,,,,,,"))
    (absent,) = read_manifest(
        write(tmp_path, "a,P1,-1.0", header="series_dir,patient_id,t_score")
    )

    assert empty == absent
    assert empty.side is None
    assert empty.days_apart is None


def test_absolute_folder_stays(tmp_path: Path) -> None:
    (row,) = read_manifest(write(tmp_path, f"{tmp_path}/x,P1,0,,,,,,,"))

    assert row.series_dir == tmp_path / "x"


def test_every_wrong_value_is_named_by_line_and_column(tmp_path: Path) -> None:
    text = error_text(
        write(
            tmp_path,
            "a,P1,minus two,,,,,,,",
            "b,P2,-1,both,,,,,,",
            "c,,-1,,,,16.8,,,",
            "d,P4,nan,,,,,,,2024-13-01",
        )
    )

    for named in (
        "Line 2, t_score: 'minus two'",
        "Line 3, side: 'both'",
        "Line 4, patient_id: empty",
        "Line 4, height_m: '16.8'",
        "Line 5, t_score: 'nan': a value is required",
        "Line 5, dxa_date: '2024-13-01'",
    ):
        assert named in text


def test_missing_column_is_named(tmp_path: Path) -> None:
    assert "no column t_score" in error_text(
        write(tmp_path, "a,P1", header="series_dir,patient_id")
    )


def test_empty_manifest_is_refused(tmp_path: Path) -> None:
    assert "1 to 1,000,000 rows" in error_text(write(tmp_path))


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in error_text(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("a,P1,-1,,,,,,,", "a,P2,-1,,,,,,,"), "several patients"),
        (("a,P1,-1,L,,,,,,", "a,P1,-2,L,,,,,,"), "several results for one hip"),
        (("a,P1,-1,,,,,,,", "a,P1,-2,L,,,,,,"), "several results for one hip"),
        (("a,P1,-1,,F,,,,,", "b,P1,-2,,M,,,,,"), "two sexes ('P1': F, M)"),
        (("a,P1,-1,,,,,,,", "./a/,P2,-1,,,,,,,"), "several patients"),
        (("a,P1,-1,,,,,,,", "a/b,P2,-1,,,,,,,"), "is inside of"),
    ],
)
def test_contradictions_are_refused(
    tmp_path: Path, lines: tuple[str, ...], message: str
) -> None:
    text = error_text(write(tmp_path, *lines))

    assert message in text
    assert "Lines 2, 3" in text


def test_both_sides_of_one_series_stay_together(tmp_path: Path) -> None:
    rows = read_manifest(write(tmp_path, "a,P1,-1,L,,,,,,", "b,P1,0,,,,,,,", "a,P1,-2,R,,,,,,"))

    groups = by_series(rows)

    assert [[row.side for row in group] for group in groups.values()] == [["L", "R"], [None]]


def test_long_list_of_errors_is_cut(tmp_path: Path) -> None:
    text = error_text(write(tmp_path, *(f"s{n},P{n},x,,,,,,," for n in range(50))))

    assert "… and 30 more" in text


def test_map_of_columns_is_read_from_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, "a;P1;-1,5", header="Ordner;Nummer;T-Wert")
    (tmp_path / "map.toml").write_text(
        '[columns]\nseries_dir = "Ordner"\npatient_id = "Nummer"\nt_score = "T-Wert"\n'
    )

    (row,) = read_manifest(path, read_column_map(tmp_path / "map.toml"))

    assert (row.series_dir, row.patient_id, row.t_score) == (tmp_path / "a", "P1", -1.5)


def test_three_months_is_one_rule_for_manifest_and_header_dates(tmp_path: Path) -> None:
    near, far, header, none = read_manifest(
        write(
            tmp_path,
            "a,P1,-1,,,,,,2024-01-01,2024-04-02",
            "b,P1,-1,,,,,,2024-01-01,2024-04-03",
            "c,P1,-1,,,,,,,2024-04-03",
            "d,P1,-1,,,,,,,",
        )
    )
    day = date(2024, 1, 1)

    def code(row: object, **known: object) -> str | None:
        found = date_exclusion([row], **{"required": False, **known})  # type: ignore[list-item,arg-type]
        return found and found[0]

    assert [code(row) for row in (near, far, header, none)] == [None, "DATES_APART", None, None]
    assert code(header, header_date=day) == "DATES_APART"
    assert code(near, header_date=date(2020, 1, 1)) is None
    assert code(header, required=True) == code(none, required=True) == "DATES_MISSING"
    assert date_exclusion([far], required=False) == (
        "DATES_APART", "CT and DXA are 93 days apart, more than 92."
    )  # fmt: skip
