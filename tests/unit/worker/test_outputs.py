"""From a screening to files: the same for the task and the command line."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.factories import make_screening
from worker.folder import screen_series, write_result_json
from worker.outputs import Form, Outputs, build_outputs, result_json, write_files

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def built() -> Outputs:
    return build_outputs(make_screening(), at=AT)


def write(path: Path, parts: Iterable[bytes]) -> None:
    path.write_bytes(b"".join(parts))


def test_files_are_what_the_objects_are(built: Outputs, tmp_path: Path) -> None:
    write_files(built, lambda role: tmp_path / role, write)

    assert dcmread(tmp_path / "sr").SOPInstanceUID == built.sr.SOPInstanceUID
    assert dcmread(tmp_path / "sc").SOPInstanceUID == built.sc.SOPInstanceUID
    assert (tmp_path / "png").read_bytes().startswith(b"\x89PNG")


def test_the_same_job_gives_the_same_bytes(built: Outputs) -> None:
    assert build_outputs(make_screening(), at=AT).files == built.files


def test_the_entry_names_absolute_paths_and_times_every_step(
    built: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    entry = write_files(built, lambda role: Path(role), write)

    assert entry["outputs"] == {role: str(tmp_path / role) for role in ("sr", "sc", "png")}
    assert {"capture", "report"} <= set(entry["timings_ms"])
    assert set(make_screening().timings_ms) <= set(entry["timings_ms"])


def test_the_report_is_of_the_class_that_is_asked_for() -> None:
    old = build_outputs(make_screening(), at=AT, form=Form("comprehensive"))

    assert old.sr.SOPClassUID.name == "Comprehensive SR Storage"


def test_result_json_is_a_list_that_reads_back() -> None:
    assert json.loads(result_json([{"text": "20° – μ"}])) == [{"text": "20° – μ"}]
    assert "20° – μ" in result_json([{"text": "20° – μ"}]).decode()


class Unused:
    """A model that no broken series comes to."""

    info = make_screening().model

    def for_patient(self, *_: object) -> None:
        raise AssertionError

    def classify(self, *_: object) -> None:
        raise AssertionError


def test_an_error_in_one_series_does_not_end_the_others(tmp_path: Path) -> None:
    text = tmp_path / "text.dcm"
    text.write_text("no DICOM")
    series = [("1.2", [tmp_path / "gone.dcm"]), ("1.3", [text])]

    finished = list(screen_series(series, tmp_path, Unused(), at=AT))  # type: ignore[arg-type]

    assert [one.series_instance_uid for one in finished] == ["1.2", "1.3"]
    assert all(one.error or one.entry for one in finished)
    assert json.loads(write_result_json(finished, tmp_path).read_text()) == [
        one.entry for one in finished if one.entry
    ]


def test_a_series_of_damaged_files_is_entered_under_the_uid_it_was_found_by(
    tmp_path: Path,
) -> None:
    text = tmp_path / "text.dcm"
    text.write_text("no DICOM")

    (one,) = screen_series([("1.3", [text])], tmp_path, Unused(), at=AT)  # type: ignore[arg-type]

    assert one.entry is not None
    assert one.entry["series_uid"] == "1.3"
