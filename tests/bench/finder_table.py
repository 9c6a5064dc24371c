"""Rates and percentiles of the outcomes by group, a table of them, and failures by name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.bench.finder_cases import GROUPS
from tests.bench.finder_measure import HipOutcome, Outcome

CLOSE_ENOUGH_MM = 5.0
ALL = "all"
COLUMNS = (
    "group", "volumes", "hips found", "both found", "head center mm", "plane ≤ 5 mm",
    "plane mm", "neck center mm", "swaps", "false", "refused", "CPU s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of one group. Spreads are (median, 95th percentile, largest)."""

    volumes: int
    hips: int
    hips_found: int
    pairs: int
    pairs_found: int
    center_mm: tuple[float, ...]
    plane_mm: tuple[float, ...]
    plane_close: float
    neck_mm: tuple[float, ...]
    off_axis_mm: tuple[float, ...]
    swaps: int
    false_acceptances: int
    refused: int
    cpu_s: tuple[float, ...]

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the table, in the order of ``COLUMNS`` after the group's name."""
        known = bool(self.center_mm)
        return (
            str(self.volumes),
            _share(self.hips_found, self.hips),
            _share(self.pairs_found, self.pairs),
            _numbers(self.center_mm),
            f"{100 * self.plane_close:.1f} %" if known else "–",
            _numbers(self.plane_mm),
            _numbers(self.neck_mm),
            str(self.swaps),
            str(self.false_acceptances),
            str(self.refused),
            _numbers(self.cpu_s),
        )


def summarize(outcomes: Sequence[Outcome]) -> Summary:
    """Compute rates and percentiles of a group; errors are those of accepted, intact hips."""
    hips = [hip for outcome in outcomes for hip in outcome.hips]
    gradable = [hip for hip in hips if hip.hip.gradable]
    pairs = [both for outcome in outcomes if (both := _pair(outcome))]
    placed = [hip for hip in hips if not hip.hip.metal and hip.hip.view != "absent"]
    planes = [abs(hip.plane_mm) for hip in placed if hip.plane_mm is not None]
    return Summary(
        volumes=len(outcomes),
        hips=len(gradable),
        hips_found=sum(hip.accepted for hip in gradable),
        pairs=len(pairs),
        pairs_found=sum(all(hip.accepted for hip in both) for both in pairs),
        center_mm=_spread(
            float(np.linalg.norm(hip.center_mm)) for hip in placed if hip.center_mm is not None
        ),
        plane_mm=_spread(planes),
        plane_close=float(np.mean([mm <= CLOSE_ENOUGH_MM for mm in planes])) if planes else 0.0,
        neck_mm=_spread(hip.neck_mm for hip in placed if hip.neck_mm is not None),
        off_axis_mm=_spread(hip.off_axis_mm for hip in placed if hip.off_axis_mm is not None),
        swaps=sum(len(outcome.swaps) for outcome in outcomes),
        false_acceptances=sum(len(outcome.false_acceptances) for outcome in outcomes),
        refused=sum(outcome.refused is not None for outcome in outcomes),
        cpu_s=_spread(outcome.cpu_s for outcome in outcomes),
    )


def groups(outcomes: Sequence[Outcome]) -> dict[str, Summary]:
    """Summarize all outcomes, then those of every tag, the tags of the suite in order."""
    present = dict.fromkeys(tag for outcome in outcomes for tag in outcome.tags)
    tags = [tag for tag in GROUPS if tag in present]
    tags += [tag for tag in present if tag not in tags]
    return {ALL: summarize(outcomes)} | {
        tag: summarize([outcome for outcome in outcomes if tag in outcome.tags]) for tag in tags
    }


def table(summaries: dict[str, Summary]) -> str:
    """Return a Markdown table that is readable as text."""
    rows = [COLUMNS, *((name, *summary.cells()) for name, summary in summaries.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def failures(outcomes: Iterable[Outcome]) -> list[str]:
    """Return one line for each volume that was refused, or has a hip with a wrong outcome."""
    lines = []
    for outcome in outcomes:
        problems = [
            f"missed {each.hip.side}: {each.reason}"
            for each in outcome.hips
            if each.hip.gradable and not each.accepted
        ]
        problems += [f"swapped {swap}" for swap in outcome.swaps]
        problems += [f"accepted {what}" for what in outcome.false_acceptances]
        if outcome.refused is not None:
            problems.append(f"refused: {outcome.refused}")
        for each in outcome.hips:
            problems += _far_off(each)
        if problems:
            lines.append(f"{outcome.name}: {'; '.join(problems)}")
    return lines


def _far_off(each: HipOutcome) -> list[str]:
    side, problems = each.hip.side, []
    if each.center_mm is not None and np.linalg.norm(each.center_mm) > CLOSE_ENOUGH_MM:
        problems.append(f"{side} head {np.linalg.norm(each.center_mm):.1f} mm off")
    if each.plane_mm is not None and abs(each.plane_mm) > CLOSE_ENOUGH_MM:
        problems.append(f"{side} plane {each.plane_mm:+.1f} mm off")
    return problems


def _pair(outcome: Outcome) -> tuple[HipOutcome, ...]:
    gradable = tuple(each for each in outcome.hips if each.hip.gradable)
    return gradable if len(gradable) == 2 else ()


def _spread(values: Iterable[float]) -> tuple[float, ...]:
    known = list(values)
    if not known:
        return ()
    return tuple(round(float(v), 2) for v in np.percentile(known, [50, 95, 100]))


def _numbers(values: tuple[float, ...]) -> str:
    return " / ".join(f"{value:.1f}" for value in values) or "–"


def _share(part: int, whole: int) -> str:
    return f"{part}/{whole} {100 * part / whole:.1f} %" if whole else "–"
