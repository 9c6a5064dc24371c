"""Finished series and studies of ``screen``: their lines, and the files of results."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from worker.cli.tables import NO_GRADE
from worker.errors import describe
from worker.screening import outputs
from worker.screening.outputs import FileRole

SUFFIXES: dict[FileRole, str] = {
    "sr": "sr.dcm", "sc": "sc.dcm", "overlay": "overlay.sc.dcm", "pm": "pm.dcm",
    "key": "key.dcm", "png": "png",
}  # fmt: skip
RESULT_JSON, STUDY_JSON = "result.json", "study.json"


@dataclass(frozen=True, slots=True)
class Finished:
    """One series: its entry of ``result.json``, or the error that ended its screening."""

    series_instance_uid: str
    entry: dict[str, Any] | None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class FinishedStudy:
    """One study: its series, and its entry of ``study.json``."""

    series: tuple[Finished, ...]
    entry: dict[str, Any]


def write_result_json(finished: Iterable[Finished], out_dir: Path) -> Path:
    """Write the entries of all series that have a result; return the path."""
    path = out_dir / RESULT_JSON
    path.write_bytes(outputs.result_json(one.entry for one in finished if one.entry))
    return path


def write_study_json(finished: Iterable[FinishedStudy], out_dir: Path) -> Path:
    """Write the entries of all studies; return the path."""
    path = out_dir / STUDY_JSON
    path.write_bytes(outputs.result_json(one.entry for one in finished))
    return path


def line_of(one: Finished) -> str:
    """Return one line of rich markup for a series; brackets in header values are escaped."""
    uid = escape(one.series_instance_uid)
    if one.error is not None:
        return f"{uid}  [red]failed[/]  {escape(describe(one.error))}"
    entry = one.entry or {}
    warnings = "".join(f"\n  [yellow]![/] {escape(warning)}" for warning in entry["warnings"])
    state, reason = entry["state"], entry["reason"]
    below = f"{_spine_line(entry)}{warnings}"
    if reason is not None:
        return f"{uid}  {state}  {reason['code']}: {escape(reason['text'])}{below}"
    return f"{uid}  {state}  {entry['grade'] or NO_GRADE}{below}"


def _spine_line(entry: dict[str, Any]) -> str:
    """Return lines with the vertebrae; without hips and vertebrae, why none was measured."""
    values = [
        f"{one['site']} {one['reason']['code'] if one['reason'] else _hu(one['mean_hu'])}"
        for one in entry.get("measurements", ())
    ]
    if values:
        return f"\n  spine: {escape(', '.join(values))}" + "".join(
            f"\n  spine: {escape(_limit_text(limit))}"
            for one in entry["measurements"]
            for limit in one["limits"]
        )
    spine = entry.get("spine")
    if spine is not None and spine["uncertain"] is not None:
        return f"\n  spine: {escape(spine['uncertain']['text'])}"
    if spine is None or entry["state"] == "screened":
        return ""
    return f"\n  spine: {escape(spine['text'])}"


def _hu(mean_hu: float) -> str:
    return f"{mean_hu:.0f} HU"


def _limit_text(limit: dict[str, Any]) -> str:
    text = f"{limit['reading']} ({limit['source']})"
    return text if limit["holds"] else f"{text}; does not hold: {limit['why_not']}"


def study_line(study: FinishedStudy) -> str:
    """Return one line of rich markup for a study."""
    entry = study.entry
    reason = entry["reason"]
    ungraded = NO_GRADE if entry["state"] == "reported" else ""
    found = entry["grade"] or ungraded
    if reason:
        found = f"{reason['code']}: {escape(reason['text'])}"
    return f"study {escape(entry['study_uid'])}  {entry['state']}  {found}".rstrip()


def path_of(out_dir: Path, uid: str, role: FileRole) -> Path:
    """Return the path of an output of a series."""
    return out_dir / f"{uid}.{SUFFIXES[role]}"


def write_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file."""
    path.write_bytes(b"".join(parts))
