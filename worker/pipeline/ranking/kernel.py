"""Kind of a reconstruction kernel by its name, or by the description of the series."""

import re
from typing import Literal

from pydicom import Dataset

from worker.pipeline.acquisition import kernel_name, sharpness_of
from worker.pipeline.header_values import text_of
from worker.pipeline.validation.image_texts import plain, states

KernelKind = Literal["soft", "unknown", "sharp"]

# Words of series descriptions in English, German, French, Spanish and Italian, which name the
# kernel where a reformat does not.
SHARP = re.compile(
    r"(?<![a-z])(?:bones?|lungs?|sharp|edge|knochen|lunge|hart|os|osseux|poumon|hueso|pulmon"
    r"|osso|polmone)(?![a-z])"
)
SOFT = re.compile(
    r"(?<![a-z])(?:soft|smooth|standard|std|weich\w*|mou|mous|blando|partes blandas|molli)"
    r"(?![a-z])"
)


def kernel_kind(ds: Dataset) -> KernelKind:
    """Return whether a kernel is for soft tissue or for edges.

    Noise and edge enhancement of a sharp kernel change the texture of bone, which the model
    grades. The description counts where the name of the kernel is missing or unknown.
    """
    sharpness = sharpness_of(kernel_name(ds))
    if sharpness is not None:
        return "sharp" if sharpness == "sharp" else "soft"
    description = plain(text_of(ds, "SeriesDescription"))
    soft, sharp = states(SOFT, description), states(SHARP, description)
    if soft == sharp:
        return "unknown"
    return "soft" if soft else "sharp"
