"""Database rows of a finished screening."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydicom import Dataset

from db import outbox
from db.result_objects import NewObject
from worker.pipeline.results import Grade, Hip, NeckAttenuation, Screening
from worker.screening.outputs import DicomRole, FileRole, Outputs

FILE_NAMES: Mapping[FileRole, str] = {
    "sr": "sr.dcm", "sc": "sc.dcm", "overlay": "overlay.sc.dcm",
    "pm": "pm.dcm", "key": "key.dcm", "png": "sc.png",
}  # fmt: skip


def screening_row(result: Screening, entry: Mapping[str, Any]) -> outbox.NewScreening:
    """Return the row of a screening; ``entry`` is its entry of ``result.json``."""
    return outbox.NewScreening(
        orientation=result.orientation,
        grade=entry["grade"],
        model_name=result.model.name,
        model_version=result.model.version,
        model_modality=result.model.modality,
        model_training_data=result.model.training_data,
        model_sha256=result.model.sha256,
        result=entry,
        warnings=result.warnings,
        timings_ms=result.timings_ms,
    )


def hip_row(hip: Hip, series_id: int | None = None) -> outbox.NewHip:
    """Return the row of one hip; ``series_id`` : where a study has the result."""
    probabilities = hip.probabilities or {}
    neck = hip.neck if isinstance(hip.neck, NeckAttenuation) else None
    x_mm, y_mm, z_mm = hip.femur.center_mm if hip.femur else (None, None, None)
    return outbox.NewHip(
        side=hip.side,
        state=hip.state,
        reason_code=hip.reason.code.value if hip.reason else None,
        reason_text=hip.reason.text if hip.reason else None,
        grade=hip.grade.value if hip.grade else None,
        probability_normal=_float(probabilities.get(Grade.NORMAL)),
        probability_osteopenia=_float(probabilities.get(Grade.OSTEOPENIA)),
        probability_osteoporosis=_float(probabilities.get(Grade.OSTEOPOROSIS)),
        neck_hu=_float(neck.mean_hu) if neck else None,
        neck_sd_hu=_float(neck.sd_hu) if neck else None,
        center_x_mm=_float(x_mm),
        center_y_mm=_float(y_mm),
        center_z_mm=_float(z_mm),
        series_id=series_id,
    )


def object_rows(outputs: Outputs, folder: Path, spool_dir: Path) -> list[NewObject]:
    """Return the rows of the DICOM objects, whose files are in ``folder``."""
    objects: Mapping[DicomRole, Dataset | None] = {
        "sr": outputs.sr, "sc": outputs.sc, "overlay": outputs.overlay, "pm": outputs.pm,
        "key": outputs.key,
    }  # fmt: skip
    return [
        _object_row(role, ds, folder, spool_dir)
        for role, ds in objects.items()
        if ds is not None
    ]


def _object_row(role: DicomRole, ds: Dataset, folder: Path, spool_dir: Path) -> NewObject:
    return NewObject(
        role=role,
        sop_class_uid=str(ds.SOPClassUID),
        sop_instance_uid=str(ds.SOPInstanceUID),
        series_instance_uid=str(ds.SeriesInstanceUID),
        path=str((folder / FILE_NAMES[role]).relative_to(spool_dir)),
    )


def _float(value: float | None) -> float | None:
    # The database driver does not adapt numpy floats.
    return None if value is None else float(value)
