"""Earlier results of a patient, read from the database for the report."""

from db.history import EarlierResult
from db.models import HipResult, Screening
from worker.pipeline.previous import PreviousHip, PreviousResult
from worker.pipeline.results import NECK_METHOD, Grade


def to_previous_result(earlier: EarlierResult) -> PreviousResult | None:
    """Convert a result of the database; None without a study date or a grade."""
    run = earlier.screening
    if earlier.study_date is None or run.grade is None:
        return None
    return PreviousResult(
        study_date=earlier.study_date,
        grade=Grade(run.grade),
        model_name=run.model_name or "",
        model_version=run.model_version or "",
        model_sha256=run.model_sha256 or "",
        hips={hip.side: _to_previous_hip(hip, _neck_method(run, hip)) for hip in earlier.hips},
    )


def _neck_method(run: Screening, row: HipResult) -> str | None:
    """Return how the attenuation of a neck was measured; None in results of old versions."""
    hips = (run.result or {}).get("hips", ())
    return next((hip.get("neck_method") for hip in hips if hip.get("side") == row.side), None)


def _to_previous_hip(row: HipResult, neck_method: str | None) -> PreviousHip:
    probabilities = {
        Grade.NORMAL: row.probability_normal,
        Grade.OSTEOPENIA: row.probability_osteopenia,
        Grade.OSTEOPOROSIS: row.probability_osteoporosis,
    }
    known = {grade: value for grade, value in probabilities.items() if value is not None}
    return PreviousHip(
        grade=None if row.grade is None else Grade(row.grade),
        probabilities=known if len(known) == len(Grade) else None,
        neck_hu=row.neck_hu if neck_method == NECK_METHOD else None,
    )
