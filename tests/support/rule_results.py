"""The reason in the result of a rule."""

from typing import Any

from tests.support.ct_volume import ct_headers
from worker.pipeline.reasons import Reason, ReasonCode, RuleResult
from worker.pipeline.validation.derived_images import derived_image


def rejection(result: RuleResult) -> Reason | None:
    """Return the reason; None where the rule passed, with a sentence on what it found."""
    if isinstance(result, Reason):
        return result
    assert result.endswith(".")
    assert result[0].isupper() or result[0].isdigit()
    return None


def derived_reason(**elements: Any) -> str | None:
    """Return why 12 images with these elements are no slices; None where they are accepted."""
    reason = rejection(derived_image(ct_headers(12, **elements)))
    if reason is None:
        return None
    assert reason.code is ReasonCode.NOT_CT
    return reason.text
