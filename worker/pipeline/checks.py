"""Rules asked one by one, with what each of them found."""

from collections.abc import Callable, Iterable, Mapping
from typing import ParamSpec

from worker.pipeline.results import Check, Reason, Verdict

About = ParamSpec("About")
Rules = Mapping[str, tuple[str, Callable[About, Verdict]]]
"""Name → what the rule requires, and the function that gives its verdict; in their order.

``"Rules[[Volume, Femur]]"`` in quotes: Python 3.11 cannot evaluate it.
"""


def ask(rules: Rules[About], *about: About.args, **named: About.kwargs) -> tuple[Check, ...]:
    """What the rules say, up to the first that is broken: those behind it are not asked."""
    checks: list[Check] = []
    for name, (_, rule) in rules.items():
        checks.append(check(name, rule(*about, **named)))
        if checks[-1].code is not None:
            break
    return tuple(checks)


def check(rule: str, verdict: Verdict) -> Check:
    """The verdict of a rule with its name."""
    if isinstance(verdict, Reason):
        return Check(rule, verdict.text, verdict.code)
    return Check(rule, verdict)


def reason_of(checks: Iterable[Check]) -> Reason | None:
    """Why not: the first broken rule; None where all are kept."""
    return next((Reason(one.code, one.text) for one in checks if one.code is not None), None)


def required_by(rules: Rules[...]) -> dict[str, str]:
    """Name → what the rule requires."""
    return {name: requires for name, (requires, _) in rules.items()}
