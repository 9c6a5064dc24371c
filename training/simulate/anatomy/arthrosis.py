"""Advanced osteoarthritis: the joint space is lost in its upper part.

The head moves up and outwards until bone touches bone; below and inwards the space widens.
The loaded bone on both sides is sclerotic and contains cysts, the head is flattened, and the
rims of head and socket grow. It applies for ``HipAnatomy.arthritis`` above 1 only.
"""

from dataclasses import replace

import numpy as np

from training.simulate.geometry.shapes import Array, Grid, Point, coverage, ellipsoid, gaussian
from training.simulate.subject import HipAnatomy, Subject

UP_AND_OUT = (0.35, 0.0, 0.94)
"""Direction in which most heads migrate, in the side frame."""
CONTACT_MM = 0.4
RIM_MM = 9.0
OSTEOPHYTE_MM = 5.0
FLATTENED = 0.16
CYST_HU = 35.0


def with_advanced_arthrosis(
    subject: Subject, rng: np.random.Generator, sides: str = "RL"
) -> Subject:
    """Return the subject with lost joint space at the hips of ``sides``."""
    right, left = (
        replace(
            hip,
            arthritis=float(rng.uniform(1.1, 1.6)),
            joint_gap_mm=float(rng.uniform(2.0, 3.4)),
        )
        if hip.side in sides
        else hip
        for hip in subject.hips
    )
    return replace(subject, hips=(right, left))


def excess(hip: HipAnatomy) -> float:
    """Return the severity beyond a narrowed joint space; 0 up to ``arthritis`` 1."""
    return max(hip.arthritis - 1.0, 0.0)


def migration_mm(hip: HipAnatomy) -> Point:
    """Return the vector from the socket's to the head's center, side frame."""
    lost = hip.joint_gap_mm + CONTACT_MM if excess(hip) else 0.0
    return UP_AND_OUT[0] * lost, UP_AND_OUT[1] * lost, UP_AND_OUT[2] * lost


def flattened(head: Array, z: Array, hip: HipAnatomy) -> Array:
    """Return the distance to a head whose top is flattened by 1 to 2 mm."""
    if not excess(hip):
        return head
    top = z - (1.0 - FLATTENED * min(excess(hip), 0.5)) * hip.head_radius_mm
    return np.asarray(np.maximum(head, top))


def osteophyte_mm(across: Array, y: Array, hip: HipAnatomy) -> Array | float:
    """Return the radius of the bony collar around the neck's axis (``across`` up).

    Advanced collars are irregular, largest below; an even ring of that size would be a sphere.
    """
    if not excess(hip):
        return OSTEOPHYTE_MM * hip.arthritis
    turn = np.arctan2(y, across)
    below = 0.5 - 0.5 * np.cos(turn)
    lumps = np.cos(1.5 * turn + 10.0 * hip.neck_width) ** 2
    return np.asarray(OSTEOPHYTE_MM * (0.35 + 0.4 * below + 0.25 * lumps))


def harden(hu: Array, p: Grid, hip: HipAnatomy, cortex_hu: float) -> Array:
    """Return the bone HU with sclerosis and cysts of the loaded zone; ``p`` is centered."""
    r = hip.head_radius_mm
    zone = gaussian(p, (0.25 * r, 0.0, r), (0.75 * r, 0.75 * r, 0.45 * r))
    hu = hu + 0.55 * zone * np.maximum(cortex_hu - hu, 0.0)
    size = 3.0 + 5.0 * excess(hip)
    cyst = coverage(
        np.minimum(
            ellipsoid(p, (0.2 * r, -0.15 * r, 0.72 * r), (size, size, 0.8 * size)),
            ellipsoid(p, (0.4 * r, 0.2 * r, 1.3 * r), (size, 0.8 * size, size)),
        ),
        1.5,
    )
    return np.asarray(hu + cyst * (CYST_HU - hu))
