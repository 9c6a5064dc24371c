"""Contrast phase from the attenuation of the aorta."""

from worker.pipeline.ranking.phase import ContrastPhase

# Blood in the aorta without contrast medium: 29–45 HU in the middle half of 325 patients, 39–50
# without anemia (https://www.researchsquare.com/article/rs-1420003/v1). At the end of the
# arterial phase: 290–360 HU (https://radiopaedia.org/articles/late-arterial-phase). Both limits
# are chosen beside these ranges. Iodine is brighter at lower voltages.
UNENHANCED_HU, ARTERIAL_HU = 70.0, 250.0
ARTERIAL_FROM_KVP = 110.0


def shown_phase(
    stated: ContrastPhase, kvp: float | None, aorta_hu: float | None
) -> ContrastPhase:
    """Return the phase that the aorta shows, else that of the header.

    Portal and late phase do not differ enough in the aorta. What the header says against a
    limit stays.
    """
    if aorta_hu is None:
        return stated
    if aorta_hu >= ARTERIAL_HU and kvp is not None and kvp >= ARTERIAL_FROM_KVP:
        return "arterial"
    return "none" if stated == "unknown" and aorta_hu <= UNENHANCED_HU else stated
