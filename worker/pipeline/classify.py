"""Crop → calibrated probabilities, heat map, and whether the crop is a hip as trained on."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from worker.model import GRADES
from worker.pipeline.acquisition import Envelope
from worker.pipeline.demographics import Demographics
from worker.pipeline.explain import Explain
from worker.pipeline.results import Classification, ModelInfo, Reason, ReasonCode, Side, Verdict

WITH_DEMOGRAPHICS = "image, sex, age, height, weight"
"""What ``modality`` says of a result that the patient's demographics went into."""


@dataclass(frozen=True, slots=True)
class Familiarity:
    """How far a crop's features are from the training data's.

    The Mahalanobis distance over the leading principal directions, divided by the root of
    their number: about 1 for a crop like the training data's (Lee et al., NeurIPS 2018, use
    the distance in a network's features to find strange input).

    ``mean``: (k,); ``whitening``: (k, d), the directions divided by their standard deviations.
    """

    mean: npt.NDArray[np.float64]
    whitening: npt.NDArray[np.float64]
    limit: float

    def distance(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """(…, k) features → (…) root mean square of the whitened features."""
        scores = (np.asarray(features, np.float64) - self.mean) @ self.whitening
        return np.asarray(np.sqrt(np.mean(scores**2, axis=-1)))


@dataclass(frozen=True, slots=True)
class ImageModel:
    """A loaded model of one crop (``results.Model``). Safe in many threads.

    ``familiarity`` is None for a model that cannot tell strange crops, ``envelope`` for one
    that does not say how its training scans were acquired. ``patient_temperature`` calibrates
    a model that also knows the patient; None where it only ever sees the picture.
    """

    info: ModelInfo
    explain: Explain
    temperature: float
    familiarity: Familiarity | None
    envelope: Envelope | None = None
    patient_temperature: float | None = None
    patient: Demographics | None = None

    def for_patient(self, patient: Demographics) -> "ImageModel":
        """The model with what is known of a patient, and an ``info`` that says so.

        A model that takes demographics wants all of them: with one missing it goes by the
        picture alone, as it was calibrated.
        """
        if self.patient_temperature is None or not patient.is_complete:
            return self
        return replace(
            self,
            info=replace(self.info, modality=WITH_DEMOGRAPHICS),
            temperature=self.patient_temperature,
            patient=patient,
        )

    def classify(self, pixels: npt.NDArray[np.float32], side: Side) -> Classification:
        """Grade one crop: (250, 250) float32, 0–255, as the picture shows it.

        The network knows right hips: a left one is mirrored, and its heat map mirrored back.
        """
        known = None if self.patient is None else self.patient.vector()
        explained = self.explain(_as_right(pixels, side), known)
        return Classification(
            probabilities=dict(
                zip(
                    GRADES,
                    probabilities(explained.logits, self.temperature).tolist(),
                    strict=True,
                )
            ),
            heat_map=np.ascontiguousarray(_as_right(explained.heat_map, side)),
            familiar=self._familiar(explained.features),
        )

    def _familiar(self, features: npt.NDArray[np.float32]) -> Verdict:
        if self.familiarity is None:
            return "Not asked: this model cannot tell strange crops."
        distance = float(self.familiarity.distance(features))
        if distance <= self.familiarity.limit:
            return f"Distance {distance:.1f}, limit {self.familiarity.limit:.1f}."
        return Reason(
            ReasonCode.OUT_OF_DISTRIBUTION,
            "The crop is unlike the hips that the model was trained on "
            f"(distance {distance:.1f}, limit {self.familiarity.limit:.1f}).",
        )


def probabilities(
    logits: npt.NDArray[np.floating], temperature: float
) -> npt.NDArray[np.float64]:
    """(…, 3) logits → (…, 3) probabilities, calibrated (Guo et al., ICML 2017), 6 decimals.

    The rounding keeps float round-off out of what is stored.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    shares = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return np.asarray(np.round(shares, 6))


def _as_right(picture: npt.NDArray[np.float32], side: Side) -> npt.NDArray[np.float32]:
    return picture if side == "R" else picture[:, ::-1]
