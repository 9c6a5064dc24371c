"""Output files of a screening: SR, two SC, parametric map, PNG and the ``result.json`` entry.

Shared by the command line and the Celery task, so that both write the same.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydicom import Dataset

from worker.pipeline.capture.parametric_map import build_parametric_map
from worker.pipeline.capture.secondary_capture import build_captures, capture_png
from worker.pipeline.derived_header import to_bytes, with_unused_uids
from worker.pipeline.known_dxa import KnownDxa
from worker.pipeline.previous import PreviousResult
from worker.pipeline.report.document import build_report
from worker.pipeline.report.key_objects import build_key_objects
from worker.pipeline.result_json import to_json
from worker.pipeline.results import Screening
from worker.pipeline.screen import Stopwatch

DicomRole = Literal["sr", "sc", "overlay", "pm", "key"]
FileRole = DicomRole | Literal["png"]


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Output settings of a site: SOP class of the SR, and which further objects to write."""

    sr_sop_class: Literal["comprehensive3d", "comprehensive"] = "comprehensive3d"
    parametric_map: bool = False
    key_objects: bool = False


DEFAULT_OPTIONS = OutputOptions()


@dataclass(frozen=True, slots=True)
class Outputs:
    """DICOM objects of a screening and their encoded files.

    ``screening`` : with the times of building the outputs. ``sc``, ``overlay`` : result picture
    and overlay picture, one series; without a graded hip there is no overlay. ``pm`` : the
    parametric map, None if it is disabled or impossible. ``key`` : the Key Object Selection,
    None if it is disabled.
    """

    screening: Screening
    sr: Dataset
    sc: Dataset
    overlay: Dataset | None
    pm: Dataset | None
    key: Dataset | None
    files: Mapping[FileRole, bytes]


def build_outputs(
    screening: Screening,
    *,
    at: datetime,
    options: OutputOptions = DEFAULT_OPTIONS,
    predecessor: Dataset | None = None,
    previous: Sequence[PreviousResult] = (),
    withdrawn: Collection[str] = (),
    dxa: Sequence[KnownDxa] = (),
) -> Outputs:
    """Build the objects of a screening; equal arguments give equal bytes.

    ``at`` : aware time, the only clock. ``predecessor`` : the report that this one replaces.
    ``previous`` : earlier results of the patient, newest first. ``dxa`` : its DXA results.
    ``withdrawn`` : SOP Instance UIDs that must not be used again.
    """
    stopwatch = Stopwatch()
    with stopwatch.step("capture"):
        sc, *others = build_captures(screening, at=at, previous=previous)
        overlay = others[0] if others else None
        with_unused_uids(sc, "sc", withdrawn)
        if overlay is not None:
            with_unused_uids(overlay, "overlay", withdrawn)
            overlay.SeriesInstanceUID = sc.SeriesInstanceUID
        png = capture_png(sc)
        pm = build_parametric_map(screening, at=at) if options.parametric_map else None
        if pm is not None:
            with_unused_uids(pm, "pm", withdrawn)
    with stopwatch.step("report"):
        sr = build_report(
            screening,
            [ds for ds in (sc, overlay, pm) if ds is not None],
            at=at,
            sop_class=options.sr_sop_class,
            predecessor=predecessor,
            previous=previous,
            dxa=dxa,
        )
        with_unused_uids(sr, "sr", withdrawn)
        key = build_key_objects(screening, sr, sc, at=at) if options.key_objects else None
        if key is not None:
            with_unused_uids(key, "key", withdrawn)
    timings_ms = {**screening.timings_ms, **stopwatch.timings_ms}
    files = _encode({"sr": sr, "sc": sc, "overlay": overlay, "pm": pm, "key": key}, png)
    return Outputs(replace(screening, timings_ms=timings_ms), sr, sc, overlay, pm, key, files)


def _encode(objects: Mapping[DicomRole, Dataset | None], png: bytes) -> dict[FileRole, bytes]:
    """Return the files of the objects that were built."""
    files: dict[FileRole, bytes] = {
        role: to_bytes(ds) for role, ds in objects.items() if ds is not None
    }
    files["png"] = png
    return files


def write_files(
    outputs: Outputs,
    path_of: Callable[[FileRole], Path],
    write: Callable[[Path, Iterable[bytes]], None],
) -> dict[str, Any]:
    """Write each file with ``write(path, parts)``; return the entry of ``result.json``."""
    paths = {role: path_of(role) for role in outputs.files}
    for role, path in paths.items():
        write(path, [outputs.files[role]])
    # Absolute paths, valid for readers in any working directory.
    return to_json(
        outputs.screening, {role: str(path.resolve()) for role, path in paths.items()}
    )


def result_json(entries: Iterable[Mapping[str, Any]]) -> bytes:
    """Encode ``result.json``: a list with one entry per series."""
    return (json.dumps(list(entries), indent=2, ensure_ascii=False) + "\n").encode()
