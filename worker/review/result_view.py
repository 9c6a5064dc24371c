"""Values of a result as pages and exports show them."""

from collections.abc import Iterable, Mapping

from db.models import HipResult, Screening
from worker.pipeline.results import Grade
from worker.pipeline.statements import nearly_as_likely, remark_on


def probabilities(hip: HipResult) -> Mapping[str, float | None]:
    """Return the probability (0–1) of each grade."""
    return {
        "normal": hip.probability_normal,
        "osteopenia": hip.probability_osteopenia,
        "osteoporosis": hip.probability_osteoporosis,
    }


def uncertainty(hip: HipResult) -> str:
    """Return the remark of the picture on a grade that is nearly as likely, or ``""``."""
    chances = {
        Grade(name): value for name, value in probabilities(hip).items() if value is not None
    }
    if hip.grade is None or len(chances) < len(Grade):
        return ""
    return remark_on(nearly_as_likely(Grade(hip.grade), chances))


def grade_probability(hips: Iterable[HipResult], grade: str | None) -> float | None:
    """Return the probability of the patient's grade, or None if no hip was graded.

    It is taken from the first hip with that grade; ``hips`` has right before left.
    """
    deciding = next((hip for hip in hips if grade is not None and hip.grade == grade), None)
    return None if deciding is None else probabilities(deciding)[deciding.grade or ""]


def is_demonstration(screening: Screening | None) -> bool:
    """Return whether the package of the model says that it was trained on simulated images.

    A result of a version that did not record it counts as one of a demonstration.
    """
    return (
        screening is not None
        and screening.grade is not None
        and screening.model_simulated is not False
    )
