"""One table of 46 series in four dialects of hospitals: the same data set, each error named.

The crops are given; reading series is covered by tests/integration/test_training_end_to_end.py.
"""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import openpyxl
import pytest

from tests.support.hips_factory import make_hips
from training.cohort import dataset
from training.cohort.assemble import save_shard
from training.cohort.manifest import ManifestError, by_series, read_column_map, read_manifest
from training.cohort.prepare import fingerprint, prepare_data_set

SERIES = 46


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table, before it is written in a dialect. Every third patient repeats."""

    number: int

    @property
    def patient(self) -> str:
        return f"P{self.number - (self.number % 3 == 2):03d}"

    @property
    def t_score(self) -> float:
        return round(-4.0 + 0.1 * self.number, 1)

    @property
    def sex(self) -> str:
        return "FM"[(self.number - (self.number % 3 == 2)) % 2]

    @property
    def age(self) -> int:
        return 50 + self.number % 40

    @property
    def ct(self) -> date:
        return date(2023, 2, 10) + timedelta(days=self.number)

    @property
    def dxa(self) -> date:
        return self.ct + timedelta(days=30)


RESULTS = tuple(Result(number) for number in range(SERIES))
HEADINGS = ("series_dir", "patient_id", "t_score", "side", "sex", "age", "height_m",
            "weight_kg", "ct_date", "dxa_date")  # fmt: skip


def plain(r: Result) -> list[object]:
    return [r.number, r.patient, r.t_score, "L" if r.number % 2 else "R", r.sex, r.age, 1.62,
            60.5, r.ct.isoformat(), r.dxa.isoformat()]  # fmt: skip


def german(r: Result) -> list[object]:
    return [r.number, r.patient, f"{r.t_score}".replace(".", ","),
            "links" if r.number % 2 else "rechte Hüfte",
            "weiblich" if r.sex == "F" else "männlich", f"{r.age},0", "162", "60,5",
            f"{r.ct:%d.%m.%Y}", f"{r.dxa:%d.%m.%Y} 00:00"]  # fmt: skip


def korean(r: Result) -> list[object]:
    return [f"./{r.number}/", r.patient, f"{r.t_score}".replace(".", ","),
            "left" if r.number % 2 else "right", "여" if r.sex == "F" else "남",
            f"{r.age:03d}Y", "162 cm", "60.5", f"{r.ct:%Y%m%d}",
            f"{r.dxa.year}/{r.dxa.month}/{r.dxa.day}"]  # fmt: skip


def write_csv(path: Path, rows: list[list[object]], delimiter: str, encoding: str) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))


def write_plain(path: Path) -> None:
    write_csv(path, [[*HEADINGS], *map(plain, RESULTS)], ",", "utf-8")


def write_german(path: Path) -> None:
    headings = ["Ordner", "Fallnummer", "T-Wert", *HEADINGS[3:]]
    write_csv(path, [headings, *map(german, RESULTS)], ";", "cp1252")


def write_korean(path: Path) -> None:
    headings = ["Series Dir", "Patient ID", "T-Score", "SIDE", "Sex", "Age", "Height", "Weight",
                "CT Date", "DXA Date"]  # fmt: skip
    write_csv(path, [headings, *map(korean, RESULTS)], "\t", "utf-16")


def write_excel(path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(HEADINGS)
    for result in RESULTS:
        sheet.append([*plain(result)[:5], float(result.age), 162, 60.5, result.ct, result.dxa])
    book.save(path)


DIALECTS: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "plain": ("site.csv", write_plain, ""),
    "german": (
        "site.csv",
        write_german,
        'encoding = "cp1252"\n[columns]\nseries_dir = "Ordner"\n'
        'patient_id = "Fallnummer"\nt_score = "T-Wert"\n',
    ),
    "korean": ("site.csv", write_korean, ""),
    "excel": ("site.xlsx", write_excel, ""),
}


def read(folder: Path, dialect: str) -> tuple[object, ...]:
    name, write, column_map = DIALECTS[dialect]
    write(folder / name)
    (folder / "map.toml").write_text(column_map, encoding="utf-8")
    columns = read_column_map(folder / "map.toml" if column_map else None)
    return read_manifest(folder / name, columns)


def test_four_dialects_of_one_table_give_the_same_data_set(tmp_path: Path) -> None:
    expected = read(tmp_path, "plain")
    assert len(expected) == SERIES
    crops = make_hips(SERIES, 1)
    for dialect in DIALECTS:
        rows = read(tmp_path, dialect)
        assert rows == expected, dialect
        out = tmp_path / dialect
        (out / "shards").mkdir(parents=True)
        # A crop is found by the row of its series: a value understood differently has another
        # name, and its series, which is not there, would be excluded.
        for index, group in enumerate(by_series(expected).values()):  # type: ignore[arg-type]
            record = replace(
                crops.records[index], patient=group[0].patient_id, t_score=group[0].t_score,
                sex=group[0].sex, age=group[0].age, scan=str(index),
            )  # fmt: skip
            save_shard(
                out / "shards" / f"{fingerprint(group, (), False)}.npz", [record],
                [crops.pixels[index]], excluded="[]", identity="[]",
            )  # fmt: skip
        flow = prepare_data_set(rows, out, workers=1)  # type: ignore[arg-type]
        assert flow["series"] == SERIES
        assert not flow["series_excluded"]

    checksums = {dataset.sha256(tmp_path / dialect) for dialect in DIALECTS}
    assert len(checksums) == 1
    parts = {r.patient: r.part for r in dataset.load_records(tmp_path / "excel")}
    assert len(parts) == len({result.patient for result in RESULTS})
    assert set(parts.values()) == {"train", "validation", "test"}


WRONG = {
    4: ("t_score", "minus 2"),
    9: ("side", "Lumbar L1-L4"),
    17: ("sex", "Z"),
    23: ("age", "seven"),
    31: ("ct_date", "31/31/2023"),
    40: ("height_m", "16.8"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_wrong_line_is_named_in_every_dialect(dialect: str, tmp_path: Path) -> None:
    name, write, column_map = DIALECTS[dialect]
    write(tmp_path / name)
    rows = _cells(tmp_path / name, dialect)
    for line, (column, value) in WRONG.items():
        rows[line - 1][HEADINGS.index(column)] = value
    _rewrite(tmp_path / name, dialect, rows)
    (tmp_path / "map.toml").write_text(column_map, encoding="utf-8")
    columns = read_column_map(tmp_path / "map.toml" if column_map else None)

    with pytest.raises(ManifestError) as raised:
        read_manifest(tmp_path / name, columns)

    text = str(raised.value)
    for line, (column, value) in WRONG.items():
        assert any(
            part.startswith(f"Line {line}, ") and column in part and repr(value) in part
            for part in text.splitlines()
        ), (line, text)
    named = [part for part in text.splitlines() if part.startswith("Line ")]
    assert len(named) == len(WRONG)


FORMS = {"plain": (",", "utf-8"), "german": (";", "cp1252"), "korean": ("\t", "utf-16")}


def _cells(path: Path, dialect: str) -> list[list[object]]:
    if dialect == "excel":
        return [list(row) for row in openpyxl.load_workbook(path).active.values]
    delimiter, encoding = FORMS[dialect]
    text = path.read_bytes().decode(encoding)
    return [list(row) for row in csv.reader(io.StringIO(text), delimiter=delimiter)]


def _rewrite(path: Path, dialect: str, rows: list[list[object]]) -> None:
    if dialect == "excel":
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.save(path)
    else:
        write_csv(path, rows, *FORMS[dialect])


def test_an_unquoted_decimal_comma_is_named_by_its_line(tmp_path: Path) -> None:
    rows = [list(map(str, plain(result))) for result in RESULTS]
    lines = [",".join(HEADINGS), *(",".join(row) for row in rows)]
    lines[12] = lines[12].replace(f",{RESULTS[11].t_score},", ",-2,9,")
    (tmp_path / "site.csv").write_text("\n".join(lines), encoding="utf-8")

    with pytest.raises(
        ManifestError, match=r"Line 13 has 11 fields, the header has 10.*Quote a value"
    ):
        read_manifest(tmp_path / "site.csv")
