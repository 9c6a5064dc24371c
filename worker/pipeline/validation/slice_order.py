"""Rule for a stack whose parts are in the wrong order.

The first and the last slice of a stack lie farthest apart. Where they resemble each other like
neighbors, the stack begins in the middle of the body: its parts were exchanged. The place where
they meet shows nothing in a coronal stack, whose ends hold hardly any body.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from worker.pipeline.validation.slice_faults import BODY_HU, Fault, Thumbnails, differences

# Difference of the first and the last slice against that of neighbors, and of slices half of
# the stack apart. Experiment: axial and coronal stacks of ten real CT, 1 to 5 mm, as they are
# and with their parts exchanged at 35, 50 and 65 %. With body at both ends: valid 5.5 and 0.72
# or more, exchanged at most 2.3 and 0.19. Found are 70 of 75, the others begin with air.
WRAPPED_RATIO, WRAPPED_SHARE = 3.5, 0.35
NOISE_HU = 1.0
# The parts meet where a slice has less than this share of the usual body, otherwise at the
# largest step.
END_AREA = 0.5


def rotated(thumbnails: Thumbnails, body: npt.NDArray[np.bool_]) -> Iterator[Fault]:
    """Yield the place where the ends of the body meet, if the stack begins in its middle.

    ``body`` : slices that hold more than an end of the body.
    """
    if not (body[0] and body[-1]):
        return
    count, half = len(thumbnails), len(thumbnails) // 2
    steps = differences(thumbnails[1:], thumbnails[:-1])
    usual = float(np.median(steps[body[1:] & body[:-1]])) if body.sum() > 2 else 0.0
    around = float(differences(thumbnails[:1], thumbnails[-1:])[0])
    far = float(np.median(differences(thumbnails[half:], thumbnails[: count - half])))
    if around > WRAPPED_RATIO * (usual + NOISE_HU) or around + NOISE_HU > WRAPPED_SHARE * far:
        return
    areas = (thumbnails > BODY_HU).mean(axis=(1, 2))
    held = np.minimum(areas[1:], areas[:-1])
    is_end = held.min() < END_AREA * np.median(areas)
    at = int(np.argmin(held) if is_end else np.argmax(steps))
    words = "both ends of the body, while the first and the last slice are neighbors"
    yield Fault(at, at + 1, words, WRAPPED_SHARE * far / (around + NOISE_HU))
