"""Covered: the hips that each warning is about, order and topics. Not covered: the limits of
each (test_acquisition, test_contrast_warning, test_field_of_view, test_quality)."""

import numpy as np

from tests.support.ct_volume import ct_headers
from tests.support.hip_volume import LEFT, RIGHT, soft_tissue
from worker.pipeline.acquisition import Envelope
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.results import Hip
from worker.pipeline.volume import Series
from worker.pipeline.warnings import TOPICS, screening_warnings, topic_of

ENVELOPE = Envelope(
    9, (80, 140), {"coronal": (2, 4)}, {"coronal": (2, 4)}, ("STANDARD",), (), contrast_share=1
)
METAL = Reason(ReasonCode.METAL, "12.0 ml of metal at the right hip.")


def series(kvp: int = 120, **elements: object) -> Series:
    header = {"KVP": kvp, "SliceThickness": 3, "ConvolutionKernel": "STANDARD", **elements}
    return Series("1.2", (), tuple(ct_headers(12, **header)), "coronal")


def test_patient_comes_first_and_acquisition_before_the_images() -> None:
    hips = [Hip("R", femur=RIGHT), Hip("L", femur=LEFT)]
    unusual = series(kvp=70, PatientSize=165)

    found = screening_warnings(unusual, soft_tissue(noise_hu=50), hips, ENVELOPE)

    topics = ["Demographics", "Tube voltage", "Contrast medium", "Noise"]
    assert [topic_of(each) for each in found] == topics
    assert "HU at the right hip, " in found[-1]
    assert "HU at the left hip: from 35 HU on" in found[-1]


def test_hip_with_a_reason_has_no_warning() -> None:
    volume = soft_tissue(noise_hu=10)
    half = volume.hu.shape[2] // 2
    noise = np.random.default_rng(0).normal(0, 60, volume.hu[:, :, :half].shape)
    volume.hu[:, :, :half] += noise.astype(np.int16)
    intact = [Hip("R", femur=RIGHT), Hip("L", femur=LEFT)]
    with_metal = [Hip("R", femur=RIGHT, reason=METAL), Hip("L", femur=LEFT)]

    assert any(
        "right hip" in each for each in screening_warnings(series(), volume, intact, ENVELOPE)
    )
    assert not any(
        "right" in each for each in screening_warnings(series(), volume, with_metal, ENVELOPE)
    )


def test_without_femurs_the_header_decides_on_contrast_medium() -> None:
    (warning,) = screening_warnings(series(), soft_tissue(), [Hip("R"), Hip("L")], ENVELOPE)

    assert warning.startswith("Contrast medium is not named in the header")


def test_every_warning_has_a_topic_and_others_are_counted_together() -> None:
    found = screening_warnings(series(), soft_tissue(), [Hip("R", femur=RIGHT)], None)

    assert {topic_of(each) for each in found} <= set(TOPICS)
    assert topic_of("Slices overlap by 1 mm.") == "other"
