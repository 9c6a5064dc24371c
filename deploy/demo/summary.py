"""Summary of the demo: ``summary.json`` and a table."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from deploy.demo.console import console


def report(summary: Sequence[Mapping[str, Any]], out: Path) -> list[str]:
    """Write and print the outcome of each series; return the problems."""
    (out / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    console.print(table_of(summary))
    console.print(f"pictures, SR and SC: {out}")
    problems = [problem for entry in summary for problem in entry["problems"]]
    for problem in problems:
        console.print(problem, style="red")
    return problems


def table_of(summary: Sequence[Mapping[str, Any]]) -> Table:
    """Return the summary as a table."""
    table = Table("series", "simulated", "result", "hips", "at the PACS")
    for entry in summary:
        simulated = entry["simulated"]
        known = "–"
        if simulated is not None:
            known = f"{simulated['grade']}, T {simulated['t_score']:+.1f}"
            if simulated["condition"] != "none":
                known += f", {simulated['condition']}"
        hips = ", ".join(
            f"{hip['side']} {hip['grade'] or hip['reason']['code']}" for hip in entry["hips"]
        )
        reason = entry["reason"]
        result = f"rejected: {reason['code']}" if reason else (entry["grade"] or entry["state"])
        arrived = [role.upper() for role in ("sr", "sc") if entry[role]]
        table.add_row(
            f"…{entry['series_uid'][-12:]}", known, result, hips, " + ".join(arrived) or "–"
        )
    return table
