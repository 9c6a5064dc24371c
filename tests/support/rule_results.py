"""The reason in the result of a rule."""

from worker.pipeline.reasons import Reason, RuleResult


def rejection(result: RuleResult) -> Reason | None:
    """Return the reason; None where the rule passed, with a sentence on what it found."""
    if isinstance(result, Reason):
        return result
    assert result.endswith(".")
    assert result[0].isupper() or result[0].isdigit()
    return None
