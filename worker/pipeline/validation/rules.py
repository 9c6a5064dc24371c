"""Rules that are applied in order, and the checks that record their results."""

from collections.abc import Callable, Iterable, Mapping
from typing import ParamSpec

from worker.pipeline.reasons import Check, Reason, RuleResult

Inputs = ParamSpec("Inputs")
Rules = Mapping[str, tuple[str, Callable[Inputs, RuleResult]]]
"""Rule name → its requirement in words and the function that checks it, in order.

Write ``"Rules[[Volume, Femur]]"`` in quotes: Python 3.11 cannot evaluate it.
"""


def apply_rules(
    rules: Rules[Inputs], *args: Inputs.args, **kwargs: Inputs.kwargs
) -> tuple[Check, ...]:
    """Apply rules in order up to and including the first that fails."""
    checks: list[Check] = []
    for name, (_, rule) in rules.items():
        checks.append(to_check(name, rule(*args, **kwargs)))
        if checks[-1].code is not None:
            break
    return tuple(checks)


def to_check(rule: str, result: RuleResult) -> Check:
    """Return the result of the rule with this name as a ``Check``."""
    if isinstance(result, Reason):
        return Check(rule, result.text, result.code)
    return Check(rule, result)


def first_failure(checks: Iterable[Check]) -> Reason | None:
    """Return the reason of the first failed check, None where all passed."""
    return next((Reason(one.code, one.text) for one in checks if one.code is not None), None)


def requirements(rules: Rules[...]) -> dict[str, str]:
    """Return each rule's name with its requirement in words."""
    return {name: requires for name, (requires, _) in rules.items()}
