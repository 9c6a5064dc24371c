"""DXA results of a patient, read from the database for the report."""

from typing import cast

from db.dxa import dxa_of_patient
from db.models import Series
from db.session import Session
from worker.pipeline.known_dxa import KnownDxa, is_recent
from worker.pipeline.volume import Side


def known_dxa(session: Session, series_id: int) -> list[KnownDxa]:
    """Return the DXA results of the patient near the study of a series, newest first."""
    series = session.get_one(Series, series_id)
    if series.study_date is None:
        return []
    return [
        KnownDxa(row.dxa_date, row.t_score, cast(Side | None, row.side))
        for row in dxa_of_patient(session, series)
        if is_recent(row.dxa_date, series.study_date)
    ]
