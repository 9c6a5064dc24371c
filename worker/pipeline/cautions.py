"""What a reader must know of a series that is graded all the same.

Every warning is one sentence without patient data and begins with one of ``TOPICS``, by which
warnings are counted whatever numbers follow.
"""

from collections.abc import Sequence

from worker.pipeline.acquisition import Envelope, warnings_of
from worker.pipeline.attention import heat_beside_femur
from worker.pipeline.contrast import contrast_medium
from worker.pipeline.field_of_view import trochanter_at_edge
from worker.pipeline.motion import motion
from worker.pipeline.quality import noise
from worker.pipeline.results import Femur, Hip, Series, Volume

TOPICS = (
    "Tube voltage", "Reconstruction kernel", "Slice thickness", "Slice increment",
    "Manufacturer", "Not stated", "Training scans", "Contrast medium", "Field of view", "Noise",
    "Motion", "Heat map",
)  # fmt: skip


def cautions(
    series: Series, volume: Volume, hips: Sequence[Hip], envelope: Envelope | None
) -> tuple[str, ...]:
    """All warnings about a series, its acquisition first, and about the hips in it that no rule
    refused."""
    found: list[Femur] = [hip.femur for hip in hips if hip.femur is not None]
    graded = [hip.femur for hip in hips if hip.femur is not None and hip.reason is None]
    of_images = (
        contrast_medium(series, volume, found),
        trochanter_at_edge(volume, graded),
        noise(volume, graded),
        motion(volume, graded),
        heat_beside_femur(hips),
    )
    said = (warning for warning in of_images if warning is not None)
    return (*warnings_of(series, envelope), *said)


def topic_of(warning: str) -> str:
    """The one of ``TOPICS`` that a warning begins with, ``other`` for none."""
    return next((topic for topic in TOPICS if warning.startswith(topic)), "other")
