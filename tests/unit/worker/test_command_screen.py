"""What the command says of a series; its exit codes and files are in tests/integration."""

from pathlib import Path

import numpy as np
import pytest
from rich.text import Text

from tests.ct_volume import write_ct
from worker.command_screen import BAD_INPUT, line_of, screen_folder
from worker.folder import Finished
from worker.outputs import Form


def test_brackets_of_a_header_are_no_markup() -> None:
    reason = {"code": "UNDECODABLE", "text": "no plugin of ['a', 'b'] [/c]"}
    entry = {"state": "rejected", "reason": reason, "warnings": ["Noise of [40] HU"]}
    one = Finished("[/bold]", entry)

    assert Text.from_markup(line_of(one)).plain == (
        "[/bold]  rejected  UNDECODABLE: no plugin of ['a', 'b'] [/c]\n  ! Noise of [40] HU"
    )


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_output_folder_that_is_none_is_bad_input_in_one_line(
    out: str, tmp_path: Path, ct_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")

    code = screen_folder(ct_folder, tmp_path / out, tmp_path, form=Form())

    assert code == BAD_INPUT
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.fixture
def ct_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "ct"
    write_ct(folder, np.zeros((10, 8, 6), np.int16))
    return folder
