"""The command ``screen``: a folder of DICOM files in, objects and ``result.json`` out."""

import os
import sys
from datetime import datetime
from pathlib import Path

# TensorFlow's greetings are not for an operator.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from worker import folder as folders
from worker.errors import describe
from worker.folder import Finished
from worker.outputs import Form
from worker.pipeline import load

SCREENED, SOME_FAILED, BAD_INPUT, ALL_REJECTED = 0, 1, 2, 3


def screen_folder(
    folder: Path,
    out_dir: Path,
    model_dir: Path,
    *,
    form: Form,
) -> int:
    """Screen all series under ``folder``; returns the exit code. Speaks on stderr."""
    console = Console(stderr=True, highlight=False)
    if not folder.is_dir():
        return _bad_input(f"{folder}: not a folder")
    if not os.access(folder, os.R_OK | os.X_OK):
        return _bad_input(f"{folder}: not readable")
    found = load.find_series(folder)
    if not found:
        return _bad_input(f"{folder}: no DICOM series in it ({found.skipped} other files)")
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return _bad_input(f"{out_dir}: {error.strerror}")
    if not os.access(out_dir, os.W_OK | os.X_OK):
        return _bad_input(f"{out_dir}: not writable")
    from worker import package  # TensorFlow: only when there is something to do

    try:
        model = package.load(model_dir)
    except package.ModelError as error:
        return _bad_input(str(error))
    finished: list[Finished] = []
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("screening", total=len(found))
        for one in folders.screen_series(
            found.items(),
            out_dir,
            model,
            at=datetime.now().astimezone(),
            form=form,
        ):
            finished.append(one)
            progress.advance(task)
            console.print(line_of(one))
    if found.skipped:
        console.print(f"{found.skipped} other files: not DICOM, or without a series UID")
    try:
        console.print(escape(str(folders.write_result_json(finished, out_dir))))
    except OSError as error:
        return _bad_input(f"{out_dir}: {error.strerror}")
    return _exit_code(finished)


def line_of(one: Finished) -> str:
    """One series in a line of rich's markup; brackets in what a header says are escaped."""
    uid = escape(one.series_instance_uid)
    if one.error is not None:
        return f"{uid}  [red]failed[/]  {escape(describe(one.error))}"
    entry = one.entry or {}
    warnings = "".join(f"\n  [yellow]![/] {escape(warning)}" for warning in entry["warnings"])
    if entry["state"] == "rejected":
        reason = entry["reason"]
        return f"{uid}  rejected  {reason['code']}: {escape(reason['text'])}{warnings}"
    return f"{uid}  screened  {entry['grade']}{warnings}"


def _exit_code(finished: list[Finished]) -> int:
    if any(one.error is not None for one in finished):
        return SOME_FAILED
    states = {one.entry["state"] for one in finished if one.entry}
    return SCREENED if "screened" in states else ALL_REJECTED


def _bad_input(reason: str) -> int:
    print(reason, file=sys.stderr)
    return BAD_INPUT
