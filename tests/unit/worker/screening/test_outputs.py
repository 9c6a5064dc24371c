"""Covered: the output files of a screening, shared by the Celery task and the command line."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from pydicom import dcmread

from tests.support.factories import make_screening
from tests.support.spine_results import make_spine_screening
from worker.screening.outputs import (
    OutputOptions,
    Outputs,
    build_outputs,
    result_json,
    write_files,
)
from worker.screening.rows import object_rows, screening_row

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def built() -> Outputs:
    return build_outputs(make_screening(), at=AT)


def write(path: Path, parts: Iterable[bytes]) -> None:
    path.write_bytes(b"".join(parts))


def test_the_files_hold_the_objects(built: Outputs, tmp_path: Path) -> None:
    write_files(built, lambda role: tmp_path / role, write)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == built.files
    assert dcmread(tmp_path / "sr").SOPInstanceUID == built.sr.SOPInstanceUID
    assert dcmread(tmp_path / "sc").SOPInstanceUID == built.sc.SOPInstanceUID
    assert dcmread(tmp_path / "overlay").SOPInstanceUID == built.overlay.SOPInstanceUID
    assert built.sc.SeriesInstanceUID == built.overlay.SeriesInstanceUID
    with Image.open(tmp_path / "png") as picture:
        assert (picture.height, picture.width) == (built.sc.Rows, built.sc.Columns)


@pytest.mark.covers("R11")
def test_equal_arguments_give_equal_bytes(built: Outputs) -> None:
    assert build_outputs(make_screening(), at=AT).files == built.files


def test_the_entry_names_absolute_paths_and_times_every_step(
    built: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    entry = write_files(built, lambda role: Path(role), write)

    assert entry["outputs"] == {
        role: str(tmp_path / role) for role in ("sr", "sc", "overlay", "png")
    }
    assert set(entry["timings_ms"]) == {*make_screening().timings_ms, "capture", "report"}


def test_the_report_has_the_configured_sop_class() -> None:
    old = build_outputs(make_screening(), at=AT, options=OutputOptions("comprehensive"))

    assert old.sr.SOPClassUID.name == "Comprehensive SR Storage"


def test_key_objects_are_built_where_they_are_wanted(built: Outputs) -> None:
    wanted = build_outputs(make_screening(), at=AT, options=OutputOptions(key_objects=True))

    assert built.key is None
    assert "key" not in built.files
    assert wanted.key is not None
    assert dcmread(BytesIO(wanted.files["key"])).Modality == "KO"
    assert wanted.sr.SOPInstanceUID == built.sr.SOPInstanceUID


def test_pictures_of_a_withdrawn_result_get_new_uids_and_stay_one_series(
    built: Outputs,
) -> None:
    withdrawn = {str(one.SOPInstanceUID) for one in (built.sc, built.overlay)}
    again = build_outputs(make_screening(), at=AT, withdrawn=withdrawn)

    assert not withdrawn & {str(again.sc.SOPInstanceUID), str(again.overlay.SOPInstanceUID)}
    assert again.sc.SeriesInstanceUID == again.overlay.SeriesInstanceUID
    assert again.sc.SeriesInstanceUID != built.sc.SeriesInstanceUID


def test_a_spine_without_hips_has_a_report_and_one_picture(tmp_path: Path) -> None:
    options = OutputOptions(parametric_map=True, key_objects=True)
    spine = build_outputs(make_spine_screening(), at=AT, options=options)
    entry = write_files(spine, lambda role: tmp_path / role, write)

    assert spine.overlay is None
    assert spine.pm is None
    assert set(spine.files) == {"sr", "sc", "key", "png"}
    assert (entry["state"], entry["grade"], entry["model"]) == ("screened", None, None)
    rows = object_rows(spine, tmp_path, tmp_path)
    assert [one.role for one in rows] == ["sr", "sc", "key"]
    row = screening_row(spine.screening, entry)
    assert (row.grade, row.model_name, row.model_sha256) == (None, "osteoscreen-lumbar", "")


def test_result_json_is_a_list_that_reads_back() -> None:
    assert json.loads(result_json([{"text": "20° – μ"}])) == [{"text": "20° – μ"}]
    assert "20° – μ" in result_json([{"text": "20° – μ"}]).decode()
