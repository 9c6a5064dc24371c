"""Everything on record about one series, and its picture."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from sqlalchemy.orm import Session
from starlette.responses import FileResponse

from db import dxa, overview, worklist
from db.access_log import record_access
from db.feedback import feedback_on
from db.models import Screening, Series
from db.overview import SeriesHistory
from db.retry import SCREEN_AGAIN
from db.spool import InvalidUid, SeriesKey, list_instances
from db.states import DeliveryState, RunOutcome
from worker.review.desk import AtDesk, Desk, Visiting, now, render
from worker.review.pictures import picture_path
from worker.review.results import confidence_of, is_demonstration

router = APIRouter()
OTHERS_SHOWN = 20
REFUSED = DeliveryState.REFUSED
UNDELIVERED = (DeliveryState.DUE, REFUSED)


@router.get("/series/{series_id}")
def show_series(request: Request, desk: AtDesk, visitor: Visiting, series_id: int) -> Response:
    """The page of one series; that it was looked at is on record before it is shown."""
    with desk.sessions.begin() as session:
        series = known_series(session, series_id)
        record_access(session, visitor.looker, "series", now=now(), series_id=series_id)
        history = overview.history_of(session, series)
        run = newest_result(history)
        opinions = feedback_on(session, [run.id] if run else [])
        dxa_results = dxa.dxa_of_patient(session, series)
        others = worklist.other_series_of_patient(session, series, limit=OTHERS_SHOWN)
    return render(
        request,
        "series.html",
        **series_view(desk, history),
        others=others,
        opinions=opinions,
        dxa_results=dxa_results,
    )


@router.get("/series/{series_id}/picture/{revision}")
def show_picture(desk: AtDesk, visitor: Visiting, series_id: int, revision: int) -> Response:
    """The slice with the overlay, as it was sent to the PACS."""
    with desk.sessions.begin() as session:
        series = known_series(session, series_id)
        detail = {"revision": revision}
        record_access(
            session, visitor.looker, "picture", now=now(), series_id=series_id, detail=detail
        )
    path = _picture(desk, series, revision)
    if path is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "This picture is not in the spool.")
    return FileResponse(path, media_type="image/png")


def known_series(session: Session, series_id: int) -> Series:
    """The series; 404 where the record has none of that number."""
    # Past the range of the column there is none either.
    series = session.get(Series, series_id) if 0 < series_id < 2**63 else None
    if series is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such series on record.")
    return series


def newest_result(history: SeriesHistory) -> Screening | None:
    """The newest run that ended in a result."""
    ended = (RunOutcome.SCREENED, RunOutcome.REJECTED)
    runs = [run for run in history.screenings if run.outcome in ended]
    return runs[-1] if runs else None


def series_view(desk: Desk, history: SeriesHistory) -> Mapping[str, Any]:
    """What the template shows."""
    series, run = history.series, newest_result(history)
    left = images_left(desk, series)
    sent = [one.delivery for one in history.deliveries]
    screened = run is not None and run.outcome is RunOutcome.SCREENED
    return {
        "series": series,
        "run": run,
        "hips": _hips(history, run),
        "both_graded": sum(hip.grade is not None for hip in history.hips) == 2,
        "refused_by": sorted({one.destination for one in sent if one.state is REFUSED}),
        "confidence": confidence_of(history.hips, run.grade) if run else None,
        "outdated": run is not None and run.revision != series.revision,
        "demonstration_model": is_demonstration(run),
        "screened": screened,
        "has_picture": run is not None and _picture(desk, series, run.revision) is not None,
        "images_left": left,
        "may_screen_again": series.state in SCREEN_AGAIN and left > 0,
        "runs": history.screenings,
        "deliveries": history.deliveries,
        "undelivered": any(one.state in UNDELIVERED for one in sent),
        "events": history.events,
    }


def _hips(history: SeriesHistory, run: Screening | None) -> Sequence[Mapping[str, Any]]:
    """Right first. Rows where there are; a rejected series has its hips in the result only."""
    entries = {hip["side"]: hip for hip in ((run.result or {}) if run else {}).get("hips", ())}
    rows = {hip.side: hip for hip in history.hips}
    return [
        {"side": side, "row": rows.get(side), "entry": entries.get(side, {})}
        for side in ("R", "L")
        if side in rows or side in entries
    ]


def _picture(desk: Desk, series: Series, revision: int) -> Any:
    return picture_path(
        desk.settings.spool_dir,
        series.study_instance_uid,
        series.series_instance_uid,
        revision,
    )


def images_left(desk: Desk, series: Series) -> int:
    """How many images of the series the spool still holds."""
    try:
        key = SeriesKey(series.study_instance_uid, series.series_instance_uid)
    except InvalidUid:
        return 0
    return len(list_instances(desk.settings.spool_dir, key))
