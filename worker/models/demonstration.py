"""What a demonstration model, trained on simulated images, must not decide."""

from common.settings.worker import WorkerSettings
from worker.pipeline.results import ModelInfo


def demonstration_problem(settings: WorkerSettings, model: ModelInfo) -> str | None:
    """Return why a model cannot be used with the settings, None where it can."""
    if settings.deliver != "low_density" or not model.simulated:
        return None
    return (
        "OSTEOSCREEN_DELIVER: low_density needs a model that was trained on patients (got the "
        f"demonstration model {model.name} {model.version}); set OSTEOSCREEN_MODEL_DIR, or all"
        " or none"
    )
