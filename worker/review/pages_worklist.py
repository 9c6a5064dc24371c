"""The worklist: the series received last, narrowed by filters or found by an identifier."""

import base64
import binascii
from collections.abc import Mapping
from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated, Any, cast, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Query, Request, Response

from db import standing, worklist
from db.access_log import record_access
from db.states import SeriesState
from db.worklist import Filters, Grade, Listed, Position
from worker.review.desk import AtDesk, Desk, Form, Visiting, now, render, see, text_of
from worker.review.pictures import picture_path, thumbnail_uri
from worker.review.results import confidence_of, is_demonstration

router = APIRouter()
PAGE_SIZE = 25


@router.get("/")
def show_worklist(
    request: Request,
    desk: AtDesk,
    visitor: Visiting,
    state: str = "",
    grade: str = "",
    reason: Annotated[str, Query(max_length=32)] = "",
    scanner: Annotated[str, Query(max_length=200)] = "",
    since: str = "",
    until: str = "",
    after: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """One page of the list."""
    chosen = {
        "state": state,
        "grade": grade,
        "reason": reason,
        "scanner": scanner,
        "since": since,
        "until": until,
    }
    filters, position = _filters(chosen), _position(after)
    with desk.sessions.begin() as session:
        listed = worklist.list_series(session, filters, limit=PAGE_SIZE + 1, after=position)
        more, listed = listed[PAGE_SIZE:], listed[:PAGE_SIZE]
        counts = standing.count_series(session, now=now())
        scanners = worklist.list_scanners(session)
        ids = [one.series.id for one in listed]
        record_access(session, visitor.looker, "worklist", now=now(), detail={"series": ids})
    used = {name: value for name, value in chosen.items() if value}
    following = {**used, "after": _written(listed[-1])} if more else None
    return render(
        request,
        "worklist.html",
        rows=[_row(desk, one) for one in listed],
        demonstration_model=any(is_demonstration(one.screening) for one in listed),
        counts=counts,
        scanners=[f"{maker} / {model}" for maker, model in scanners],
        chosen=chosen,
        used=used,
        first_page="/?" + urlencode(used) if after else None,
        next_page="/?" + urlencode(following) if following else None,
    )


@router.post("/search")
def search(request: Request, desk: AtDesk, visitor: Visiting, form: Form) -> Response:
    """Posted, so that what identifies a patient stands in no address, history or log."""
    identifier = text_of(form, "identifier")
    with desk.sessions.begin() as session:
        found = worklist.find_series(session, identifier) if identifier else []
        ids = [one.series.id for one in found]
        record_access(session, visitor.looker, "search", now=now(), detail={"series": ids})
    if len(ids) == 1:
        return see(f"/series/{ids[0]}")
    return render(
        request,
        "found.html",
        rows=[_row(desk, one) for one in found],
        demonstration_model=any(is_demonstration(one.screening) for one in found),
        asked=bool(identifier),
        limit=worklist.FIND_LIMIT,
    )


def _row(desk: Desk, listed: Listed) -> Mapping[str, Any]:
    series, run = listed.series, listed.screening
    path = run and picture_path(
        desk.settings.spool_dir,
        series.study_instance_uid,
        series.series_instance_uid,
        run.revision,
    )
    return {
        "series": series,
        "screening": run,
        "hips": listed.hips,
        "confidence": confidence_of(listed.hips, run.grade) if run else None,
        "outdated": run is not None and run.revision != series.revision,
        "thumbnail": path and thumbnail_uri(path),
    }


def _filters(chosen: Mapping[str, str]) -> Filters:
    maker, _, model = chosen["scanner"].partition(" / ")
    try:
        return Filters(
            state=SeriesState(chosen["state"]) if chosen["state"] else None,
            grade=_grade(chosen["grade"]),
            reason=chosen["reason"] or None,
            manufacturer=maker or None,
            scanner_model=model or None,
            since=date.fromisoformat(chosen["since"]) if chosen["since"] else None,
            until=date.fromisoformat(chosen["until"]) if chosen["until"] else None,
        )
    except ValueError:
        raise HTTPException(
            HTTPStatus.UNPROCESSABLE_ENTITY, "A filter has a value that it cannot have."
        ) from None


def _grade(value: str) -> Grade | None:
    if value and value not in get_args(Grade):
        raise ValueError(value)
    return cast(Grade, value) if value else None


def _written(listed: Listed) -> str:
    """The key of a row as it stands in the address of the next page."""
    key = f"{listed.series.created_at.isoformat()} {listed.series.id}"
    return base64.urlsafe_b64encode(key.encode()).decode()


def _position(after: str) -> Position | None:
    if not after:
        return None
    try:
        moment, _, number = base64.urlsafe_b64decode(after.encode()).decode().partition(" ")
        return Position(datetime.fromisoformat(moment), int(number))
    except (ValueError, binascii.Error):
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "No such page.") from None
