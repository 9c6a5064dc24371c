"""Covered: which hips each warning is about, their order and topics. Not covered: the limits of
each (test_acquisition, test_contrast, test_field_of_view, test_quality)."""

import numpy as np

from tests.ct_volume import ct_headers
from tests.hip_volume import LEFT, RIGHT, soft_tissue
from worker.pipeline.acquisition import Envelope
from worker.pipeline.cautions import TOPICS, cautions, topic_of
from worker.pipeline.results import Hip, Reason, ReasonCode, Series

ENVELOPE = Envelope(
    9, (80, 140), {"coronal": (2, 4)}, {"coronal": (2, 4)}, ("STANDARD",), (), contrast_share=1
)
METAL = Reason(ReasonCode.METAL, "12.0 ml of metal at the right hip.")


def series(kvp: int = 120) -> Series:
    header = {"KVP": kvp, "SliceThickness": 3, "ConvolutionKernel": "STANDARD"}
    return Series("1.2", (), tuple(ct_headers(12, **header)), "coronal")


def test_acquisition_comes_before_what_the_images_show() -> None:
    hips = [Hip("R", femur=RIGHT), Hip("L", femur=LEFT)]

    found = cautions(series(kvp=70), soft_tissue(noise_hu=50), hips, ENVELOPE)

    assert [topic_of(each) for each in found] == ["Tube voltage", "Contrast medium", "Noise"]
    assert "HU at the right hip, " in found[-1]
    assert "HU at the left hip: from 35 HU on" in found[-1]


def test_refused_hip_is_not_warned_about() -> None:
    volume = soft_tissue(noise_hu=10)
    half = volume.hu.shape[2] // 2
    noise = np.random.default_rng(0).normal(0, 60, volume.hu[:, :, :half].shape)
    volume.hu[:, :, :half] += noise.astype(np.int16)
    intact = [Hip("R", femur=RIGHT), Hip("L", femur=LEFT)]
    refused = [Hip("R", femur=RIGHT, reason=METAL), Hip("L", femur=LEFT)]

    assert any("right hip" in each for each in cautions(series(), volume, intact, ENVELOPE))
    assert not any("right" in each for each in cautions(series(), volume, refused, ENVELOPE))


def test_without_femurs_the_header_speaks_of_contrast_medium() -> None:
    (warning,) = cautions(series(), soft_tissue(), [Hip("R"), Hip("L")], ENVELOPE)

    assert warning.startswith("Contrast medium is not named in the header")


def test_every_warning_has_a_topic_and_others_are_counted_together() -> None:
    found = cautions(series(), soft_tissue(), [Hip("R", femur=RIGHT)], None)

    assert {topic_of(each) for each in found} <= set(TOPICS)
    assert topic_of("Slices overlap by 1 mm.") == "other"
