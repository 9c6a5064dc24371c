"""Tables of the agreement of a candidate model with the live model."""

from rich.console import RenderableType
from rich.table import Table

from db.candidates import CandidateModel
from worker.models.agreement import GRADES, Agreement


def agreement_tables(candidate: CandidateModel, found: Agreement) -> list[RenderableType]:
    """Return the table of grades and the agreement figures as sentences."""
    title = f"{candidate.model_name} {candidate.model_version} beside the live model"
    counts = Table("live model", title=title, title_justify="left")
    for grade in GRADES:
        counts.add_column(f"candidate: {grade}", justify="right")
    for grade, row in zip(GRADES, found.counts, strict=True):
        counts.add_row(grade, *map(str, row))
    lines = [f"{found.hips} hips, {sum(map(sum, found.counts))} graded by both."]
    if found.share is not None and found.share_95 is not None:
        low, high = found.share_95
        lines.append(f"Same grade: {found.share:.1%} (95 % interval {low:.1%} to {high:.1%}).")
    if found.kappa is not None:
        lines.append(f"Weighted kappa {found.kappa:.2f}.")
    if found.osteoporosis_difference is not None:
        difference = 100 * found.osteoporosis_difference
        lines.append(f"P(osteoporosis) differs by {difference:.1f} points on average.")
    lines.append(
        f"Refused by the candidate only: {found.refused_by_candidate_only},"
        f" by the live model only: {found.refused_by_live_only}."
    )
    return [counts, "\n".join(lines)]
