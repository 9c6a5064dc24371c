"""What a rule has against a series or a hip."""

from worker.pipeline.results import Reason, Verdict


def against(verdict: Verdict) -> Reason | None:
    """The reason; None where the rule is kept, and says in a sentence what it found."""
    if isinstance(verdict, Reason):
        return verdict
    assert verdict.endswith(".")
    assert verdict[0].isupper() or verdict[0].isdigit()
    return None
