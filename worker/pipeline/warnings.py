"""Warnings about a graded series.

Every warning is one sentence without patient data. It begins with one of ``TOPICS``, by which
warnings are counted.
"""

from collections.abc import Sequence

from worker.pipeline.acquisition import Envelope, acquisition_warnings
from worker.pipeline.contrast_warning import contrast_warning
from worker.pipeline.demographics import demographics_warning, who_category_warning
from worker.pipeline.header_values import source_header
from worker.pipeline.heat_map import heat_map_warning
from worker.pipeline.measurement_only import is_measured_hip
from worker.pipeline.motion import motion_warning
from worker.pipeline.results import Hip
from worker.pipeline.validation.field_of_view import trochanter_warning
from worker.pipeline.validation.frame_of_reference import frame_of_reference_warning
from worker.pipeline.validation.monoenergetic import monoenergetic_warning
from worker.pipeline.validation.quality import noise_warning
from worker.pipeline.volume import Femur, Series, Volume

TOPICS = (
    "Demographics", "WHO category", "Tube voltage", "Reconstruction kernel", "Slice thickness",
    "Slice increment", "Manufacturer", "Not stated", "Training scans", "Contrast medium",
    "Field of view", "Noise", "Motion", "Heat map", "Monoenergetic images",
    "Frame of reference", "Study",
)  # fmt: skip


def screening_warnings(
    series: Series, volume: Volume, hips: Sequence[Hip], envelope: Envelope | None
) -> tuple[str, ...]:
    """Return the warnings about the patient, those about the acquisition, the images and hips.

    Hips that failed a rule count for the contrast medium only.
    """
    found: list[Femur] = [hip.femur for hip in hips if hip.femur is not None]
    graded = [hip.femur for hip in hips if hip.femur is not None and hip.reason is None]
    warnings = (
        demographics_warning(source_header(series.headers)),
        who_category_warning(source_header(series.headers)),
        *acquisition_warnings(series, envelope),
        monoenergetic_warning(series),
        frame_of_reference_warning(series),
        contrast_warning(series, volume, found),
        trochanter_warning(volume, graded),
        noise_warning(volume, graded),
        motion_warning(volume, graded),
        heat_map_warning(hips),
    )
    return tuple(warning for warning in warnings if warning is not None)


def measurement_warnings(
    series: Series, volume: Volume, hips: Sequence[Hip]
) -> tuple[str, ...]:
    """Return the warnings of a result without a grade: no model was used.

    Noise and motion count where a neck is measured without a model (``MODEL_DIR=none``).
    """
    necks = [hip.femur for hip in hips if hip.femur is not None and is_measured_hip(hip)]
    warnings = (
        who_category_warning(source_header(series.headers)),
        frame_of_reference_warning(series),
        noise_warning(volume, necks),
        motion_warning(volume, necks),
    )
    return tuple(warning for warning in warnings if warning is not None)


def topic_of(warning: str) -> str:
    """Return the topic that a warning begins with, ``other`` where it is none of ``TOPICS``."""
    return next((topic for topic in TOPICS if warning.startswith(topic)), "other")
