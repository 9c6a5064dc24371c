"""Output files of a screening: SR, two SC, parametric map, PNG and the ``result.json`` entry.

Shared by the command line and the Celery task, so that both write the same.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from pydicom import Dataset

from worker.pipeline.capture.parametric_map import build_parametric_map
from worker.pipeline.capture.secondary_capture import build_captures, capture_png
from worker.pipeline.derived_header import to_bytes, with_unused_uids
from worker.pipeline.patient_history import NO_HISTORY, PatientHistory
from worker.pipeline.report.document import build_report
from worker.pipeline.report.key_objects import build_key_objects
from worker.pipeline.result_json import to_json
from worker.pipeline.results import Screening
from worker.pipeline.screen import Stopwatch

DicomRole = Literal["sr", "sc", "overlay", "pm", "key"]
FileRole = DicomRole | Literal["png"]
DICOM_ROLES: tuple[DicomRole, ...] = get_args(DicomRole)


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
    history: PatientHistory = NO_HISTORY,
    withdrawn: Collection[str] = (),
) -> Outputs:
    """Build the objects of a screening; equal arguments give equal bytes.

    ``at`` : aware time, the only clock. ``predecessor`` : the report that this one replaces.
    ``withdrawn`` : SOP Instance UIDs that must not be used again.
    """
    stopwatch = Stopwatch()
    with stopwatch.step("capture"):
        built = _build_pictures(screening, at, options, history, withdrawn)
        png = capture_png(built["sc"])
    with stopwatch.step("report"):
        sr = build_report(
            screening,
            tuple(built.values()),
            at=at,
            sop_class=options.sr_sop_class,
            predecessor=predecessor,
            history=history,
        )
        built["sr"] = with_unused_uids(sr, "sr", withdrawn)
        if options.key_objects:
            key = build_key_objects(screening, sr, built["sc"], at=at)
            built["key"] = with_unused_uids(key, "key", withdrawn)
    timed = replace(screening, timings_ms={**screening.timings_ms, **stopwatch.timings_ms})
    return Outputs(
        timed,
        sr=built["sr"],
        sc=built["sc"],
        overlay=built.get("overlay"),
        pm=built.get("pm"),
        key=built.get("key"),
        files=_encode(built, png),
    )


def _build_pictures(
    screening: Screening,
    at: datetime,
    options: OutputOptions,
    history: PatientHistory,
    withdrawn: Collection[str],
) -> dict[DicomRole, Dataset]:
    """Return result picture, overlay picture and parametric map, as far as they are built."""
    sc, *others = build_captures(screening, at=at, previous=history.previous)
    built: dict[DicomRole, Dataset] = {"sc": with_unused_uids(sc, "sc", withdrawn)}
    for overlay in others:
        built["overlay"] = with_unused_uids(overlay, "overlay", withdrawn)
        overlay.SeriesInstanceUID = sc.SeriesInstanceUID
    pm = build_parametric_map(screening, at=at) if options.parametric_map else None
    if pm is not None:
        built["pm"] = with_unused_uids(pm, "pm", withdrawn)
    return built


def _encode(built: Mapping[DicomRole, Dataset], png: bytes) -> dict[FileRole, bytes]:
    files: dict[FileRole, bytes] = {
        role: to_bytes(built[role]) for role in DICOM_ROLES if role in built
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
