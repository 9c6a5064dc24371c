"""Screen every series under a folder without servers: ``python -m worker screen``."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from worker import outputs
from worker.outputs import DEFAULT_FORM, FileRole, Form
from worker.pipeline.result_json import to_json
from worker.pipeline.results import Model, Rejected
from worker.pipeline.screen import screen

SUFFIXES: dict[FileRole, str] = {"sr": "sr.dcm", "sc": "sc.dcm", "pm": "pm.dcm", "png": "png"}
RESULT_JSON = "result.json"


@dataclass(frozen=True, slots=True)
class Finished:
    """One series of the folder: its entry of ``result.json``, or the error that ended it."""

    series_instance_uid: str
    entry: dict[str, Any] | None
    error: Exception | None = None


def screen_series(
    series: Iterable[tuple[str, Sequence[Path]]],
    out_dir: Path,
    model: Model,
    *,
    at: datetime,
    form: Form = DEFAULT_FORM,
) -> Iterator[Finished]:
    """Screen one series after the other and write its files to ``out_dir``.

    An error in one series is handed back and does not end the others.
    """
    for uid, paths in series:
        try:
            result = screen(paths, model)
            if isinstance(result, Rejected):
                # A series whose files are all damaged does not know its own UID any more.
                yield Finished(uid, to_json(replace(result, series_instance_uid=uid)))
                continue
            built = outputs.build_outputs(result, at=at, form=form)
            yield Finished(
                uid, outputs.write_files(built, partial(_path, out_dir, uid), _write)
            )
        except Exception as error:
            yield Finished(uid, None, error)


def write_result_json(finished: Iterable[Finished], out_dir: Path) -> Path:
    """Write the entries of all series that came to a result; returns the path."""
    path = out_dir / RESULT_JSON
    path.write_bytes(outputs.result_json(one.entry for one in finished if one.entry))
    return path


def _path(out_dir: Path, uid: str, role: FileRole) -> Path:
    return out_dir / f"{uid}.{SUFFIXES[role]}"


def _write(path: Path, parts: Iterable[bytes]) -> None:
    path.write_bytes(b"".join(parts))
