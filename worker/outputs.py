"""From a finished screening to its files: SR, SC, picture and the entry of ``result.json``.

Used by the command line and by the task, so that both write the same.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydicom import Dataset

from worker.pipeline.capture import build_capture, capture_png
from worker.pipeline.header import to_bytes
from worker.pipeline.parametric_map import build_parametric_map
from worker.pipeline.previous import PreviousResult
from worker.pipeline.report import build_report
from worker.pipeline.result_json import to_json
from worker.pipeline.results import Screening
from worker.pipeline.screen import Stopwatch

FileRole = Literal["sr", "sc", "pm", "png"]


@dataclass(frozen=True, slots=True)
class Form:
    """What a site wants written: the class of its reports, and the heat map as numbers too."""

    sr_sop_class: Literal["comprehensive3d", "comprehensive"] = "comprehensive3d"
    parametric_map: bool = False


DEFAULT_FORM = Form()


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a screening leaves: the objects, encoded as files, and the times of making them.

    ``pm`` : the parametric map, None where it is not wanted or cannot be.
    """

    screening: Screening
    sr: Dataset
    sc: Dataset
    pm: Dataset | None
    files: Mapping[FileRole, bytes]


def build_outputs(
    screening: Screening,
    *,
    at: datetime,
    form: Form = DEFAULT_FORM,
    predecessor: Dataset | None = None,
    previous: Sequence[PreviousResult] = (),
) -> Outputs:
    """Build SC and SR; equal arguments give equal bytes. ``at`` : aware, the only clock."""
    watch = Stopwatch()
    with watch.step("capture"):
        sc = build_capture(screening, at=at, previous=previous)
        png = capture_png(sc)
        pm = build_parametric_map(screening, at=at) if form.parametric_map else None
    with watch.step("report"):
        sr = build_report(
            screening,
            [sc] if pm is None else [sc, pm],
            at=at,
            sop_class=form.sr_sop_class,
            predecessor=predecessor,
            previous=previous,
        )
    timings_ms = {**screening.timings_ms, **watch.timings_ms}
    files: dict[FileRole, bytes] = {"sr": to_bytes(sr), "sc": to_bytes(sc), "png": png}
    if pm is not None:
        files["pm"] = to_bytes(pm)
    return Outputs(replace(screening, timings_ms=timings_ms), sr, sc, pm, files)


def write_files(
    outputs: Outputs,
    path_of: Callable[[FileRole], Path],
    write: Callable[[Path, Iterable[bytes]], None],
) -> dict[str, Any]:
    """Write each file with ``write(path, parts)``; the entry of ``result.json``."""
    paths = {role: path_of(role) for role in outputs.files}
    for role, path in paths.items():
        write(path, [outputs.files[role]])
    # Absolute, so that they lead to the files from wherever the JSON is read.
    return to_json(
        outputs.screening, {role: str(path.resolve()) for role, path in paths.items()}
    )


def result_json(entries: Iterable[Mapping[str, Any]]) -> bytes:
    """The text of ``result.json``: a list, one entry a series."""
    return (json.dumps(list(entries), indent=2, ensure_ascii=False) + "\n").encode()
