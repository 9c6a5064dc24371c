"""Page of one series: everything in the database about it, and its picture."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.responses import FileResponse

from common.dicom.uids import InvalidUid
from common.spool.layout import SeriesKey, list_instances
from db import dxa, worklist
from db.access_log import record_access
from db.feedback import feedback_on
from db.history import SeriesHistory, history_of
from db.models import Screening, Series
from db.results import result_folder, withheld_run
from db.retry import may_screen_again
from db.session import Session
from db.states import DeliveryState, RunOutcome
from db.study_worklist import study_of
from worker.review.clock import now
from worker.review.dependencies import CurrentUser
from worker.review.pictures import picture_path
from worker.review.rendering import render
from worker.review.result_view import grade_probability, is_demonstration, uncertainty
from worker.review.state import AppState, CurrentState

router = APIRouter()
MAX_OTHER_SERIES = 20
WITH_RESULT = (RunOutcome.SCREENED, RunOutcome.REJECTED)
UNDELIVERED = (DeliveryState.DUE, DeliveryState.REFUSED)


@router.get("/series/{series_id}")
def show_series(
    request: Request, app_state: CurrentState, user: CurrentUser, series_id: int
) -> Response:
    """Show one series; the access is logged before the page is rendered."""
    with app_state.sessions.begin() as session:
        series = get_series_or_404(session, series_id)
        record_access(session, user.audit_actor, "series", now=now(), series_id=series_id)
        history = history_of(session, series)
        screening = displayed_screening(history)
        feedback = feedback_on(session, [screening.id] if screening else [])
        dxa_results = dxa.dxa_of_patient(session, series)
        again = may_screen_again(session, series)
        others = worklist.other_series_of_patient(session, series, limit=MAX_OTHER_SERIES)
        study = study_of(session, series.study_id)
    return render(
        request,
        "series.html",
        **_series_context(app_state, history, may_screen_again=again),
        others=others,
        study=study,
        feedback=feedback,
        dxa_results=dxa_results,
    )


@router.get("/series/{series_id}/picture/{revision}")
def show_picture(
    app_state: CurrentState, user: CurrentUser, series_id: int, revision: int
) -> Response:
    """Return the slice with the overlay, as it was sent to the PACS."""
    with app_state.sessions.begin() as session:
        series = get_series_or_404(session, series_id)
        record_access(
            session,
            user.audit_actor,
            "picture",
            now=now(),
            series_id=series_id,
            detail={"revision": revision},
        )
        folder = result_folder(session, series, revision)
    path = picture_path(app_state.settings.spool_dir, series, revision, folder)
    if path is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "This picture is not in the spool.")
    return FileResponse(path, media_type="image/png")


def get_series_or_404(session: Session, series_id: int) -> Series:
    """Return the series; answer 404 if there is none with this ID."""
    # PostgreSQL raises an error for numbers outside the range of the column.
    series = session.get(Series, series_id) if 0 < series_id < 2**63 else None
    if series is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such series on record.")
    return series


def displayed_screening(history: SeriesHistory) -> Screening | None:
    """Return the newest screening with a result (screened or rejected), which the page shows.

    It may be of an earlier revision than the series.
    """
    with_result = [one for one in history.screenings if one.outcome in WITH_RESULT]
    return with_result[-1] if with_result else None


def count_spooled_images(app_state: AppState, series: Series) -> int:
    """Return the number of images of the series that are still in the spool."""
    try:
        key = SeriesKey(series.study_instance_uid, series.series_instance_uid)
    except InvalidUid:
        return 0
    return len(list_instances(app_state.settings.spool_dir, key))


def _series_context(
    app_state: AppState, history: SeriesHistory, *, may_screen_again: bool
) -> Mapping[str, Any]:
    series, screening = history.series, displayed_screening(history)
    spooled_images = count_spooled_images(app_state, series)
    deliveries = [one.delivery for one in history.deliveries]
    context = {
        "series": series,
        "screening": screening,
        "hips": _hips(history, screening),
        "measurements": ((screening.result if screening else None) or {}).get("measurements"),
        "spine": ((screening.result if screening else None) or {}).get("spine") or {},
        "both_graded": sum(hip.grade is not None for hip in history.hips) == 2,
        "refused_by": sorted(
            {one.destination for one in deliveries if one.state is DeliveryState.REFUSED}
        ),
        "demonstration_model": is_demonstration(screening),
        "spooled_images": spooled_images,
        "offers_screening": may_screen_again,
        "may_screen_again": may_screen_again and spooled_images > 0,
        "screenings": history.screenings,
        "deliveries": history.deliveries,
        "not_delivered": withheld_run(history.screenings),
        "undelivered": any(one.state in UNDELIVERED for one in deliveries),
        "events": history.events,
        "held": history.held,
    }
    if screening is None:
        return context | {
            "grade_probability": None,
            "outdated": False,
            "screened": False,
            "has_picture": False,
        }
    path = picture_path(
        app_state.settings.spool_dir, series, screening.revision, screening.folder
    )
    return context | {
        "grade_probability": grade_probability(history.hips, screening.grade),
        "outdated": screening.revision != series.revision,
        "screened": screening.outcome is RunOutcome.SCREENED,
        "has_picture": path is not None,
    }


def _hips(history: SeriesHistory, screening: Screening | None) -> Sequence[Mapping[str, Any]]:
    """Return row, result entry and remark on a second grade of each hip, right first.

    The hips of a rejected series have no rows; they are in the result only.
    """
    result = (screening.result if screening else None) or {}
    entries = {hip["side"]: hip for hip in result.get("hips", ())}
    rows = {hip.side: hip for hip in history.hips}
    return [
        {
            "side": side,
            "row": rows.get(side),
            "entry": entries.get(side, {}),
            "uncertainty": uncertainty(rows[side]) if side in rows else "",
        }
        for side in ("R", "L")
        if side in rows or side in entries
    ]
