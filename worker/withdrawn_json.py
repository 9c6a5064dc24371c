"""The withdrawal of a result in JSON, for files and commands."""

from db.models import Screening


def withdrawn_json(run: Screening) -> dict[str, str | None] | None:
    """Return when, by whom and why a result was withdrawn; None if it stands."""
    if run.withdrawn_at is None or run.withdrawal_reason is None:
        return None
    return {
        "at": run.withdrawn_at.isoformat(),
        "by": run.withdrawn_by,
        "reason": run.withdrawal_reason.value,
    }
