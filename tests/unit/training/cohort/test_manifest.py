"""Manifest of a site: accepted values, errors and their messages."""

from datetime import date
from pathlib import Path

import pytest

from training.cohort.manifest import ManifestError, by_series, read_manifest

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
            "c,,-1,,,,168,,,",
            "d,P4,nan,,,,,,,2024-13-01",
        )
    )

    for named in (
        "line 2, t_score",
        "line 3, side",
        "line 4, patient_id",
        "line 4, height_m",
        "line 5, t_score",
        "line 5, dxa_date",
    ):
        assert named in text
    assert "minus two" not in text


def test_missing_column_is_named(tmp_path: Path) -> None:
    assert "no column t_score" in error_text(
        write(tmp_path, "a,P1", header="series_dir,patient_id")
    )


def test_empty_manifest_is_refused(tmp_path: Path) -> None:
    assert "no row" in error_text(write(tmp_path))


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in error_text(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("a,P1,-1,,,,,,,", "a,P2,-1,,,,,,,"), "several patients"),
        (("a,P1,-1,L,,,,,,", "a,P1,-2,L,,,,,,"), "several results for one hip"),
        (("a,P1,-1,,,,,,,", "a,P1,-2,L,,,,,,"), "several results for one hip"),
        (("a,P1,-1,,F,,,,,", "b,P1,-2,,M,,,,,"), "two sexes"),
    ],
)
def test_contradictions_are_refused(
    tmp_path: Path, lines: tuple[str, ...], message: str
) -> None:
    text = error_text(write(tmp_path, *lines))

    assert message in text
    assert "lines 2, 3" in text


def test_both_sides_of_one_series_stay_together(tmp_path: Path) -> None:
    rows = read_manifest(write(tmp_path, "a,P1,-1,L,,,,,,", "b,P1,0,,,,,,,", "a,P1,-2,R,,,,,,"))

    groups = by_series(rows)

    assert [[row.side for row in group] for group in groups.values()] == [["L", "R"], [None]]


def test_long_list_of_errors_is_cut(tmp_path: Path) -> None:
    text = error_text(write(tmp_path, *(f"s{n},P{n},x,,,,,,," for n in range(50))))

    assert "… and 30 more" in text
