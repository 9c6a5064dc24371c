"""Worklist: the series received last, filtered or found by an identifier."""

import base64
import binascii
from collections.abc import Mapping
from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated, Any, cast, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field

from db import queue_status, worklist
from db.access_log import record_access
from db.held import held_content
from db.states import SeriesState
from db.worklist import Filters, Grade, Listed, Position
from worker.review.clock import now
from worker.review.dependencies import CurrentUser, VerifiedForm, form_text
from worker.review.pictures import picture_path, thumbnail_uri
from worker.review.rendering import redirect, render
from worker.review.result_view import grade_probability, is_demonstration
from worker.review.state import AppState, CurrentState

router = APIRouter()
PAGE_SIZE = 25
YEARS = range(1900, 2200)


class WorklistQuery(BaseModel):
    """Query string of the worklist: the form of filters, and the key of the last row before."""

    state: str = ""
    grade: str = ""
    reason: str = Field("", max_length=32)
    scanner: str = Field("", max_length=200)
    since: str = ""
    until: str = ""
    after: str = Field("", max_length=100)


@router.get("/")
def show_worklist(
    request: Request,
    app_state: CurrentState,
    user: CurrentUser,
    query: Annotated[WorklistQuery, Query()],
) -> Response:
    """Show one page of the list."""
    filters, position = _parse_filters(query), _decode_position(query.after)
    with app_state.sessions.begin() as session:
        listed = worklist.list_series(session, filters, limit=PAGE_SIZE + 1, after=position)
        more, listed = listed[PAGE_SIZE:], listed[:PAGE_SIZE]
        counts = queue_status.count_series(session, now=now())
        scanners = worklist.list_scanners(session)
        held = held_content(session)
        ids = [one.series.id for one in listed]
        record_access(session, user.audit_actor, "worklist", now=now(), detail={"series": ids})
    used = query.model_dump(exclude={"after"}, exclude_defaults=True)
    next_query = {**used, "after": _encode_position(listed[-1])} if more else None
    return render(
        request,
        "worklist.html",
        rows=[_row_context(app_state, one) for one in listed],
        demonstration_model=any(is_demonstration(one.screening) for one in listed),
        counts=counts,
        held=held,
        scanners=[f"{maker} / {model}" for maker, model in scanners],
        chosen=query,
        used=used,
        first_page="/?" + urlencode(used) if query.after else None,
        next_page="/?" + urlencode(next_query) if next_query else None,
    )


@router.post("/search")
def search(
    request: Request, app_state: CurrentState, user: CurrentUser, form: VerifiedForm
) -> Response:
    """Find series by an identifier.

    This is a POST so that patient identifiers are not in addresses, histories or logs.
    """
    identifier = form_text(form, "identifier")
    with app_state.sessions.begin() as session:
        found = worklist.find_series(session, identifier) if identifier else []
        ids = [one.series.id for one in found]
        record_access(session, user.audit_actor, "search", now=now(), detail={"series": ids})
    if len(ids) == 1:
        return redirect(f"/series/{ids[0]}")
    return render(
        request,
        "found.html",
        rows=[_row_context(app_state, one) for one in found],
        demonstration_model=any(is_demonstration(one.screening) for one in found),
        has_identifier=bool(identifier),
        limit=worklist.FIND_LIMIT,
    )


def _row_context(app_state: AppState, listed: Listed) -> Mapping[str, Any]:
    series, screening = listed.series, listed.screening
    path = screening and picture_path(
        app_state.settings.spool_dir, series, screening.revision, screening.folder
    )
    return {
        "series": series,
        "screening": screening,
        "hips": listed.hips,
        "grade_probability": grade_probability(
            listed.hips, screening.grade if screening else None
        ),
        "outdated": screening is not None and screening.revision != series.revision,
        "thumbnail": path and thumbnail_uri(path),
    }


def _parse_filters(query: WorklistQuery) -> Filters:
    maker, _, model = query.scanner.partition(" / ")
    try:
        return Filters(
            state=SeriesState(query.state) if query.state else None,
            grade=_parse_grade(query.grade),
            reason=query.reason or None,
            manufacturer=maker or None,
            scanner_model=model or None,
            since=_parse_day(query.since),
            until=_parse_day(query.until),
        )
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "A filter has an invalid value.") from None


def _parse_day(value: str) -> date | None:
    """Return a date of which the day before and after exist in any time zone."""
    day = date.fromisoformat(value) if value else None
    if day is not None and day.year not in YEARS:
        raise ValueError(day)
    return day


def _parse_grade(value: str) -> Grade | None:
    if value and value not in get_args(Grade):
        raise ValueError(value)
    return cast(Grade, value) if value else None


def _encode_position(listed: Listed) -> str:
    """Encode the key of a row for the address of the next page."""
    key = f"{listed.series.created_at.isoformat()} {listed.series.id}"
    return base64.urlsafe_b64encode(key.encode()).decode()


def _decode_position(after: str) -> Position | None:
    if not after:
        return None
    try:
        moment, _, number = base64.urlsafe_b64decode(after.encode()).decode().partition(" ")
        position = Position(datetime.fromisoformat(moment), int(number))
        if position.created_at.year not in YEARS or not 0 < position.series_id < 2**63:
            raise ValueError(position)
    except (ValueError, binascii.Error):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "There is no such page.") from None
    return position
