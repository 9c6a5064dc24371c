"""Published limits of measurements, each with its source, region and conditions.

A limit is written here only after it was checked in a public source, and is used only for the
region of that source. No other module holds a limit.
"""

from dataclasses import dataclass
from typing import Literal

from worker.pipeline.lumbar_results import Level


@dataclass(frozen=True, slots=True)
class PublishedLimit:
    """A limit of attenuation for osteoporosis as DXA defines it (T-score −2.5 or less).

    A value of ``limit_hu`` or less is on its low side. ``meaning`` : the accuracy that the
    source states for it. ``kvp`` : tube voltage.
    ``max_thickness_mm`` : thickest slices for which it is used here.
    """

    source: str
    doi: str
    level: Level
    limit_hu: float
    meaning: Literal["90 % sensitive", "more than 90 % specific"]
    kvp: float
    max_thickness_mm: float

    @property
    def citation(self) -> str:
        """Author and year with the DOI."""
        return f"{self.source}, doi {self.doi}"


# Pickhardt PJ et al., Ann Intern Med 2013;158:588–595; 1,867 adults, 2,067 pairs of CT and DXA.
# Abstract: "An L1 CT-attenuation threshold of 160 HU or less was 90% sensitive and a threshold
# of 110 HU was more than 90% specific for distinguishing osteoporosis from osteopenia and
# normal BMD", and "intravenous contrast did not affect CT performance".
# The voltage: values of 120 kV, as the normal values of the same group (Jang 2019, doi
# 10.1148/radiol.2019181648: 20,374 CT at 120 kV). Other voltages read otherwise: means of
# 148.1, 140.9 and 131.3 HU at 100, 120 and 140 kV (AAPM 2026, 16,747 CT).
# The thickness is a choice of this project: partial volume with endplates.
PICKHARDT = ("Pickhardt 2013", "10.7326/0003-4819-158-8-201304160-00003")
LIMITS: tuple[PublishedLimit, ...] = (
    PublishedLimit(*PICKHARDT, "L1", 110.0, "more than 90 % specific", 120.0, 5.0),
    PublishedLimit(*PICKHARDT, "L1", 160.0, "90 % sensitive", 120.0, 5.0),
)


def limits_of(level: Level) -> tuple[PublishedLimit, ...]:
    """Return the limits that were published for a level."""
    return tuple(limit for limit in LIMITS if limit.level == level)
