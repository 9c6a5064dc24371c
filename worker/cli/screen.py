"""Command ``screen``: screens a folder of DICOM files without servers."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

# Before TensorFlow is imported: its start messages are of no use to an operator.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from common.dicom.series_rules import SeriesRules
from worker.cli.exit_codes import ALL_REJECTED, BAD_INPUT, SCREENED, SOME_FAILED
from worker.cli.finished import (
    Finished,
    FinishedStudy,
    line_of,
    path_of,
    study_line,
    write_parts,
    write_result_json,
    write_study_json,
)
from worker.cli.input_folder import input_problem, no_series
from worker.cli.screen_studies import StudyOptions, screen_studies
from worker.cli.studies import Studies, group_studies
from worker.pipeline import load
from worker.pipeline.result_json import to_json
from worker.pipeline.results import Model, Rejected
from worker.pipeline.screen import screen
from worker.pipeline.screen_study import MAX_SERIES
from worker.pipeline.validation.patient import ALL_ADULTS, PatientRules
from worker.screening import outputs
from worker.screening.outputs import DEFAULT_OPTIONS, OutputOptions

Per = Literal["study", "series"]


@dataclass(frozen=True, slots=True)
class ScreenOptions:
    """How to screen a folder.

    ``per`` : one result a study or a series; None: a study, with ``study.json`` where one has
    several series. ``rules``, ``max_series`` : of a study. ``patients`` : who is screened.
    """

    per: Per | None = None
    rules: SeriesRules = ()
    max_series: int = MAX_SERIES
    patients: PatientRules = ALL_ADULTS
    outputs: OutputOptions = DEFAULT_OPTIONS


def screen_folder(
    folder: Path, out_dir: Path, model_dir: Path | None, options: ScreenOptions
) -> int:
    """Screen what is under ``folder``, report to stderr, and return the exit code.

    ``model_dir`` : None to use no model.
    """
    problem = input_problem(folder)
    if problem is not None:
        return _bad_input(problem)
    found = load.find_series(folder)
    if not found:
        return _bad_input(no_series(folder, found))
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return _bad_input(f"{out_dir}: {error.strerror}")
    if not os.access(out_dir, os.W_OK | os.X_OK):
        return _bad_input(f"{out_dir}: not writable")
    model = None
    if model_dir is not None:
        from worker.pipeline.model import package  # TensorFlow: only once there is input

        try:
            model = package.load(model_dir)
        except package.ModelError as error:
            return _bad_input(str(error))
    console = Console(stderr=True, highlight=False)
    if options.per == "series":
        finished = _screen_series(found, out_dir, model, options, console)
        studies = []
    else:
        studies = _screen_studies(group_studies(found), out_dir, model, options, console)
        finished = [one for study in studies for one in study.series]
    if found.skipped:
        console.print(f"{found.skipped} other files: not DICOM, or without a series UID")
    try:
        console.print(escape(str(write_result_json(finished, out_dir))))
        if options.per == "study" or any(len(study.series) > 1 for study in studies):
            console.print(escape(str(write_study_json(studies, out_dir))))
    except OSError as error:
        return _bad_input(f"{out_dir}: {error.strerror}")
    return _exit_code(finished)


def screen_files(
    series: Iterable[tuple[str, Sequence[Path]]],
    out_dir: Path,
    model: Model | None,
    *,
    at: datetime,
    options: OutputOptions = DEFAULT_OPTIONS,
    patients: PatientRules = ALL_ADULTS,
) -> Iterator[Finished]:
    """Screen the files of each series in turn and write its outputs to ``out_dir``.

    ``series`` : Series Instance UID and files. An error in one series is returned and does not
    stop the others.
    """
    for uid, paths in series:
        try:
            result = screen(paths, model, patients=patients)
            if isinstance(result, Rejected):
                # Without a readable file the result has no Series Instance UID of its own.
                yield Finished(uid, to_json(replace(result, series_instance_uid=uid)))
                continue
            built = outputs.build_outputs(result, at=at, options=options)
            files = outputs.write_files(built, partial(path_of, out_dir, uid), write_parts)
            yield Finished(uid, files)
        except Exception as error:
            yield Finished(uid, None, error)


def _screen_series(
    found: load.SeriesFiles,
    out_dir: Path,
    model: Model | None,
    options: ScreenOptions,
    console: Console,
) -> list[Finished]:
    finished: list[Finished] = []
    ended = screen_files(
        found.items(),
        out_dir,
        model,
        at=_now(),
        options=options.outputs,
        patients=options.patients,
    )
    with _progress(console) as progress:
        for one in progress.track(ended, total=len(found), description="screening"):
            finished.append(one)
            console.print(line_of(one))
    return finished


def _screen_studies(
    studies: Studies,
    out_dir: Path,
    model: Model | None,
    options: ScreenOptions,
    console: Console,
) -> list[FinishedStudy]:
    finished: list[FinishedStudy] = []
    ended = screen_studies(
        studies,
        out_dir,
        model,
        at=_now(),
        options=StudyOptions(
            options.outputs, options.rules, options.max_series, options.patients
        ),
    )
    with _progress(console) as progress:
        for study in progress.track(ended, total=len(studies), description="screening"):
            finished.append(study)
            if len(study.series) > 1:
                console.print(study_line(study))
            for one in study.series:
                console.print(line_of(one))
    return finished


def _progress(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    return Progress(*columns, console=console, transient=True)


def _now() -> datetime:
    return datetime.now().astimezone()


def _exit_code(finished: list[Finished]) -> int:
    if any(one.error is not None for one in finished):
        return SOME_FAILED
    states = {one.entry["state"] for one in finished if one.entry}
    return SCREENED if "screened" in states else ALL_REJECTED


def _bad_input(reason: str) -> int:
    print(reason, file=sys.stderr)
    return BAD_INPUT
