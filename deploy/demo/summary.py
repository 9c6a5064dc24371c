"""Summary of the demo: ``summary.json`` and tables."""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from deploy.demo.console import console

Entry = Mapping[str, Any]


def report(summary: Sequence[Entry], out: Path) -> list[str]:
    """Write and print the outcome of each study and series; return the problems."""
    (out / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    # The entries of a study follow each other.
    studies = [list(entries) for _, entries in groupby(summary, itemgetter("study_uid"))]
    console.print(table_of(studies))
    for entries in studies:
        if len(entries) > 1:
            console.print(series_table(entries))
    console.print(f"pictures, SR and SC: {out}")
    problems = [problem for entry in summary for problem in entry["problems"]]
    for problem in problems:
        console.print(problem, style="red")
    return problems


def table_of(studies: Sequence[Sequence[Entry]]) -> Table:
    """Return a row for each study, with what its report says."""
    table = Table("study", "series", "simulated", "result", "hips", "at the PACS")
    for entries in studies:
        used = next((entry for entry in entries if entry["sr"]), entries[0])
        hips = ", ".join(
            f"{hip['side']} {hip['grade'] or hip['reason']['code']}" for hip in used["hips"]
        )
        arrived = [
            f"{count} {name}"
            for name, roles in (("SR", ("sr",)), ("SC", ("sc", "overlay")))
            if (count := sum(entry[role] is not None for entry in entries for role in roles))
        ]
        table.add_row(
            f"…{used['study_uid'][-12:]}",
            str(len(entries)),
            _simulated(used),
            _result(used),
            hips,
            " + ".join(arrived) or "–",
        )
    return table


def series_table(entries: Sequence[Entry]) -> Table:
    """Return what became of each series of a study, and why; the best series first."""
    title = f"Study …{entries[0]['study_uid'][-12:]}: what became of its series, and why"
    table = Table("rank", "series", "images", "state", "why", title=title, title_justify="left")
    for entry in sorted(entries, key=lambda one: (one["rank"] is None, one["rank"] or 0)):
        table.add_row(
            "–" if entry["rank"] is None else str(entry["rank"]),
            escape(entry["description"]) or f"…{entry['series_uid'][-12:]}",
            str(entry["instances"]),
            "used for the report" if entry["sr"] else entry["state"].replace("_", " "),
            escape(entry["reason"]["text"] or "") if entry["reason"] else "",
        )
    return table


def _simulated(entry: Entry) -> str:
    simulated = entry["simulated"]
    if simulated is None:
        return "–"
    known = f"{simulated['grade']}, T {simulated['t_score']:+.1f}"
    condition = simulated["condition"]
    return known if condition == "none" else f"{known}, {condition}"


def _result(entry: Entry) -> str:
    reason = entry["reason"]
    if reason:
        return f"{entry['state'].replace('_', ' ')}: {reason['code']}"
    return str(entry["grade"] or entry["state"])
