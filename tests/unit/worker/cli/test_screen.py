"""Covered: the lines that ``screen`` prints of a series, and series that cannot be screened.

Exit codes and files of the command are tested in tests/integration/test_screen_cli.py.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from rich.text import Text

from tests.support.ct_volume import write_ct
from tests.support.factories import make_screening
from worker.cli.exit_codes import BAD_INPUT
from worker.cli.finished import Finished, line_of, write_result_json
from worker.cli.screen import ScreenOptions, screen_files, screen_folder

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_brackets_in_header_values_are_not_markup() -> None:
    reason = {"code": "UNDECODABLE", "text": "no plugin of ['a', 'b'] [/c]"}
    entry = {"state": "rejected", "reason": reason, "warnings": ["Noise of [40] HU"]}
    one = Finished("[/bold]", entry)

    assert Text.from_markup(line_of(one)).plain == (
        "[/bold]  rejected  UNDECODABLE: no plugin of ['a', 'b'] [/c]\n  ! Noise of [40] HU"
    )


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_an_output_folder_that_is_a_file_is_bad_input_in_one_line(
    out: str, tmp_path: Path, ct_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")

    code = screen_folder(ct_folder, tmp_path / out, tmp_path, ScreenOptions())

    assert code == BAD_INPUT
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.fixture
def ct_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "ct"
    write_ct(folder, np.zeros((10, 8, 6), np.int16))
    return folder


class FailingModel:
    """A model that fails for every series that reaches it."""

    info = make_screening().model

    def for_patient(self, *_: object) -> None:
        raise AssertionError

    def classify(self, *_: object) -> None:
        raise AssertionError


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    path = tmp_path / "damaged.dcm"
    path.write_text("not DICOM")
    return path


def test_an_error_in_one_series_does_not_stop_the_others(
    coronal_series: tuple[Path, ...], damaged: Path, tmp_path: Path
) -> None:
    series = [("1.2", coronal_series), ("1.3", [damaged])]

    failed, rejected = screen_files(series, tmp_path, FailingModel(), at=AT)  # type: ignore[arg-type]

    assert (failed.series_instance_uid, failed.entry) == ("1.2", None)
    assert isinstance(failed.error, AssertionError)
    assert rejected.entry is not None
    assert (rejected.entry["state"], rejected.error) == ("rejected", None)
    path = write_result_json([failed, rejected], tmp_path)
    assert json.loads(path.read_text()) == [rejected.entry]


def test_a_series_of_damaged_files_is_listed_under_the_uid_it_was_found_by(
    damaged: Path, tmp_path: Path
) -> None:
    (one,) = screen_files([("1.3", [damaged])], tmp_path, FailingModel(), at=AT)  # type: ignore[arg-type]

    assert one.entry is not None
    assert one.entry["series_uid"] == "1.3"
    assert one.entry["reason"]["code"] == "UNDECODABLE"
