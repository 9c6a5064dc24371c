"""Candidate model: its predictions are recorded beside those of the live model, never sent.

``promote`` here and ``roll_back`` in ``db.candidates`` change the live model of all workers.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from common.logging import get_logger
from common.spool.writer import SpoolWriter
from db import candidates
from db.candidates import CandidateModel, CandidatePrediction
from db.session import Session
from worker.context import WorkerContext, utc_now
from worker.errors import describe
from worker.models.agreement import Agreement, Pair, agreement
from worker.pipeline.demographics import demographics_of
from worker.pipeline.results import Grade, Model, ModelInfo, Screening

MODELS_FOLDER = "models"

log = get_logger(__name__)


def record_predictions(context: WorkerContext, screening_id: int, screening: Screening) -> None:
    """Record the predictions of the candidate, if there is one, for the same crops.

    Never raises: the live result is already saved, and a candidate must not affect it.
    """
    try:
        model = context.load_candidate()
        if model is None:
            return
        predictions = tuple(predictions_of(model, screening))
        if not predictions:
            return
        with context.sessions.begin() as session:
            candidates.save_predictions(
                session, screening_id, identity(model.info), predictions, now=utc_now()
            )
    except Exception as error:
        log.warning("candidate_failed", screening_id=screening_id, error=describe(error))


def predictions_of(model: Model, screening: Screening) -> Iterator[CandidatePrediction]:
    """Predict every hip of a screening that has crops.

    Demographics come from the source header.
    """
    model = model.for_patient(demographics_of(screening.source))
    for hip in screening.hips:
        if hip.graded is None:
            continue
        classified = model.classify(hip.graded.pixels, hip.side, hip.graded.femur_mm)
        probabilities = classified.probabilities
        yield CandidatePrediction(
            side=hip.side,
            grade=None
            if classified.reason
            else max(probabilities, key=probabilities.__getitem__).value,
            reason_code=classified.reason.code.value if classified.reason else None,
            probability_normal=float(probabilities[Grade.NORMAL]),
            probability_osteopenia=float(probabilities[Grade.OSTEOPENIA]),
            probability_osteoporosis=float(probabilities[Grade.OSTEOPOROSIS]),
        )


def compare(session: Session) -> tuple[CandidateModel, Agreement] | None:
    """Compare the newest candidate with the live results; None without predictions."""
    rows = candidates.predictions_beside(session)
    if not rows:
        return None
    newest = rows[0][0]
    pairs = [
        Pair(
            live=_grade(hip.grade),
            candidate=_grade(prediction.grade),
            live_osteoporosis=hip.probability_osteoporosis,
            candidate_osteoporosis=prediction.probability_osteoporosis,
        )
        for prediction, hip in rows
    ]
    model = CandidateModel(newest.model_name, newest.model_version, newest.model_sha256)
    return model, agreement(pairs)


def promote(
    session: Session, spool_dir: Path, model_dir: Path, *, actor: str, now: datetime
) -> ModelInfo:
    """Check a model package, copy it to the spool, and make it the live model.

    Every worker reads the copy. Raises ModelError, and OSError if the copy fails.
    """
    from worker.pipeline.model import package  # TensorFlow: takes seconds

    info = package.load(model_dir).info
    header = (model_dir / package.HEADER).read_bytes()
    folder = Path(MODELS_FOLDER) / hashlib.sha256(header).hexdigest()[:16]
    writer = SpoolWriter(spool_dir)
    # The header last: an incomplete package does not load.
    names = [path.name for path in sorted(model_dir.iterdir()) if path.is_file()]
    for name in sorted(names, key=lambda name: name == package.HEADER):
        writer.write(spool_dir / folder / name, [(model_dir / name).read_bytes()])
    candidates.promote(session, str(folder), identity(info), actor=actor, now=now)
    return info


def identity(info: ModelInfo) -> CandidateModel:
    """Return the identity of a model in the database."""
    return CandidateModel(info.name, info.version, info.sha256)


def _grade(value: str | None) -> Grade | None:
    return None if value is None else Grade(value)
