"""The record of a patient beside the screened images, as the report quotes it."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.pipeline.known_dxa import KnownDxa
from worker.pipeline.previous import PreviousResult


@dataclass(frozen=True, slots=True)
class PatientHistory:
    """Earlier results and DXA results of a patient.

    ``previous`` : results of earlier studies, newest first.
    """

    previous: Sequence[PreviousResult] = ()
    dxa: Sequence[KnownDxa] = ()


NO_HISTORY = PatientHistory()
