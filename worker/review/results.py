"""What a page says about a result: probabilities, confidence, the notice of the model."""

from collections.abc import Iterable, Mapping

from db.models import Hip, Screening


def probabilities_of(hip: Hip) -> Mapping[str, float | None]:
    """By grade."""
    return {
        "normal": hip.probability_normal,
        "osteopenia": hip.probability_osteopenia,
        "osteoporosis": hip.probability_osteoporosis,
    }


def confidence_of(hips: Iterable[Hip], grade: str | None) -> float | None:
    """The probability of the patient's grade at the hip that decides: the first that has it.

    None where nothing was graded. ``hips`` : right before left, as everywhere.
    """
    deciding = next((hip for hip in hips if grade is not None and hip.grade == grade), None)
    return None if deciding is None else probabilities_of(deciding)[deciding.grade or ""]


def is_demonstration(run: Screening | None) -> bool:
    """Whether the model that made this result was trained on simulated images."""
    return run is not None and "simulated" in (run.model_training_data or "").lower()
