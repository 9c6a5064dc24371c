"""A candidate model beside the live one: its opinions are recorded, and nothing else is done
with them. ``promote`` and ``roll_back`` change which model is live, for all workers at once.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from db import candidates
from db.candidates import Candidate, Opinion
from db.spool import SpoolWriter
from db.telemetry import get_logger
from worker.agreement import Agreement, Pair, agreement
from worker.errors import describe
from worker.pipeline.demographics import demographics_of
from worker.pipeline.results import Grade, Model, ModelInfo, Screening
from worker.workshop import Workshop, utc_now

MODELS_FOLDER = "models"

log = get_logger(__name__)


def record_opinions(workshop: Workshop, screening_id: int, screening: Screening) -> None:
    """Ask the candidate about the same crops, if there is one.

    The live result is saved by now, and whatever the candidate does must not touch it.
    """
    try:
        model = workshop.load_candidate()
        if model is None:
            return
        opinions = tuple(opinions_of(model, screening))
        with workshop.sessions.begin() as session:
            candidates.save_opinions(
                session, screening_id, identity(model.info), opinions, now=utc_now()
            )
    except Exception as error:
        log.warning("candidate_failed", screening_id=screening_id, error=describe(error))


def opinions_of(model: Model, screening: Screening) -> Iterator[Opinion]:
    """What a model says of every hip of a screening that has a crop, knowing of the patient
    what the header says."""
    model = model.for_patient(demographics_of(screening.headers[0]))
    for hip in screening.hips:
        if hip.crop is None:
            continue
        said = model.classify(hip.crop.pixels, hip.side)
        chances = said.probabilities
        yield Opinion(
            side=hip.side,
            grade=None if said.reason else max(chances, key=chances.__getitem__).value,
            reason_code=said.reason.code.value if said.reason else None,
            probability_normal=float(chances[Grade.NORMAL]),
            probability_osteopenia=float(chances[Grade.OSTEOPENIA]),
            probability_osteoporosis=float(chances[Grade.OSTEOPOROSIS]),
        )


def compare(session: Session) -> tuple[Candidate, Agreement] | None:
    """The newest candidate against the live results; None where no candidate was asked."""
    rows = candidates.opinions_beside(session)
    if not rows:
        return None
    said = rows[0][0]
    pairs = [
        Pair(
            live=_grade(hip.grade),
            candidate=_grade(opinion.grade),
            live_osteoporosis=hip.probability_osteoporosis,
            candidate_osteoporosis=opinion.probability_osteoporosis,
        )
        for opinion, hip in rows
    ]
    who = Candidate(said.model_name, said.model_version, said.model_sha256)
    return who, agreement(pairs)


def promote(
    session: Session, spool_dir: Path, model_dir: Path, *, actor: str, now: datetime
) -> ModelInfo:
    """Check a package, keep a copy that every worker sees, and make it the live model.

    Raises ModelError, and OSError where the spool cannot be written.
    """
    from worker import package  # TensorFlow: seconds

    info = package.load(model_dir).info
    header = (model_dir / package.HEADER).read_bytes()
    folder = Path(MODELS_FOLDER) / hashlib.sha256(header).hexdigest()[:16]
    writer = SpoolWriter(spool_dir)
    # The header last: half a package does not load.
    names = [path.name for path in sorted(model_dir.iterdir()) if path.is_file()]
    for name in sorted(names, key=lambda name: name == package.HEADER):
        writer.write(spool_dir / folder / name, [(model_dir / name).read_bytes()])
    candidates.promote(session, str(folder), identity(info), actor=actor, now=now)
    return info


def identity(info: ModelInfo) -> Candidate:
    """What the record calls a model."""
    return Candidate(info.name, info.version, info.sha256)


def _grade(value: str | None) -> Grade | None:
    return None if value is None else Grade(value)
