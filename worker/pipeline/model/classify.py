"""Calibrated probabilities, heat map and out-of-distribution score of the crops of a hip."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from worker.pipeline.acquisition import Envelope
from worker.pipeline.demographics import Demographics
from worker.pipeline.model.explain import Explain
from worker.pipeline.model.networks import GRADES
from worker.pipeline.reasons import Reason, ReasonCode, RuleResult
from worker.pipeline.results import Classification, ModelInfo
from worker.pipeline.volume import Side

WITH_DEMOGRAPHICS = "image, sex, age, height, weight"
"""``modality`` of a result for which the patient's demographics were used."""


@dataclass(frozen=True, slots=True)
class OutOfDistributionScore:
    """Distance of a crop's features from those of the training data.

    The Mahalanobis distance over the leading principal directions, divided by the root of
    their number: about 1 for a crop like the training data (Lee et al., NeurIPS 2018, use
    this distance in a network's features to detect out-of-distribution input).

    ``mean`` : (k,). ``whitening`` : (k, d), directions divided by their standard deviations.
    ``limit`` : largest distance of a crop that is graded.
    """

    mean: npt.NDArray[np.float64]
    whitening: npt.NDArray[np.float64]
    limit: float

    def distance(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return the (…) root mean squares of (…, k) features after whitening."""
        scores = (np.asarray(features, np.float64) - self.mean) @ self.whitening
        return np.asarray(np.sqrt(np.mean(scores**2, axis=-1)))


@dataclass(frozen=True, slots=True)
class ImageModel:
    """A loaded model of one crop (``results.Model``). Thread-safe.

    ``out_of_distribution`` is None for a model package without that score, ``envelope`` for
    one that does not describe the acquisition of its training scans. ``patient_temperature``
    is the temperature with demographics; None for a model that takes the crop only.
    """

    info: ModelInfo
    explain: Explain
    temperature: float
    out_of_distribution: OutOfDistributionScore | None
    envelope: Envelope | None = None
    patient_temperature: float | None = None
    patient: Demographics | None = None

    def for_patient(self, patient: Demographics) -> "ImageModel":
        """Return the model for one patient; its ``info`` names the inputs that it uses.

        Demographics are used where the model takes them and all are known; with one missing
        the crop alone is used, for which the model is calibrated as well.
        """
        if self.patient_temperature is None or not patient.is_complete:
            return self
        return replace(
            self,
            info=replace(self.info, modality=WITH_DEMOGRAPHICS),
            temperature=self.patient_temperature,
            patient=patient,
        )

    def classify(
        self,
        pixels: npt.NDArray[np.float32],
        side: Side,
        femur_mm: npt.NDArray[np.float32] | None = None,
    ) -> Classification:
        """Grade one crop, (250, 250), or parallel ones of a hip together, (n, 250, 250).

        ``pixels`` : float32, 0–255, not mirrored. ``femur_mm`` : of the same shape, mm. The
        network takes right hips: a left one is mirrored, and its heat map mirrored back.
        Raises ValueError where the network needs ``femur_mm`` and it is not given.
        """
        patient = None if self.patient is None else self.patient.vector()
        crop = as_right(pixels, side)
        femur_mm = None if femur_mm is None else as_right(femur_mm, side)
        explained = self.explain(crop, patient, femur_mm)
        return Classification(
            probabilities=dict(
                zip(
                    GRADES,
                    probabilities(explained.logits, self.temperature).tolist(),
                    strict=True,
                )
            ),
            heat_map=np.ascontiguousarray(as_right(explained.heat_map, side)),
            in_distribution=self._check_distribution(explained.features),
            image_grade=None
            if patient is None
            else GRADES[int(explained.image_logits.argmax())],
        )

    def _check_distribution(self, features: npt.NDArray[np.float32]) -> RuleResult:
        """Reject features farther from the training data than the limit."""
        score = self.out_of_distribution
        if score is None:
            return "Not asked: this model cannot tell strange crops."
        distance = float(score.distance(features))
        if distance <= score.limit:
            return f"Distance {distance:.2f}, limit {score.limit:.2f}."
        return Reason(
            ReasonCode.OUT_OF_DISTRIBUTION,
            "The crop is unlike the hips that the model was trained on "
            f"(distance {distance:.2f}, limit {score.limit:.2f}).",
        )


def probabilities(
    logits: npt.NDArray[np.floating], temperature: float
) -> npt.NDArray[np.float64]:
    """Convert (…, 3) logits to calibrated probabilities (Guo et al., ICML 2017).

    Rounded to 6 decimals, so that stored values do not differ by floating-point error.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    shares = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return np.asarray(np.round(shares, 6))


def as_right(picture: npt.NDArray[np.float32], side: Side) -> npt.NDArray[np.float32]:
    """Return (…, 250, 250) crops of a left hip mirrored, as the network takes them."""
    return picture if side == "R" else picture[..., ::-1]
