"""Worklist: the studies received last, filtered or found by an identifier."""

from collections.abc import Mapping, Sequence
from datetime import date
from http import HTTPStatus
from typing import Annotated, Any, cast, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field

from db import queue_status, study_worklist, worklist
from db.access_log import note_query, record_access
from db.held import held_content
from db.states import SeriesState, StudyState
from db.study_worklist import AnyState, ListedStudy
from db.worklist import Filters, Grade
from worker.review.clock import now
from worker.review.dependencies import CurrentUser, VerifiedForm, form_text
from worker.review.pictures import picture_path, thumbnail_uri
from worker.review.rendering import redirect, render
from worker.review.result_view import grade_probability, is_demonstration
from worker.review.state import AppState, CurrentState

router = APIRouter()
PAGE_SIZE = 25
YEARS = range(1900, 2200)
INVALID_FILTER = "A filter has an invalid value."


class WorklistQuery(BaseModel):
    """Query string of the worklist: the filters, and the ID of the last study before."""

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
    """Show one page of the list: a row a study, its series beneath."""
    filters, state = _parse_filters(query), _parse_state(query.state)
    before = _parse_after(query.after)
    used = query.model_dump(exclude={"after"}, exclude_defaults=True)
    with app_state.sessions.begin() as session:
        listed = study_worklist.list_studies(
            session, filters, state=state, limit=PAGE_SIZE + 1, before=before
        )
        more, listed = listed[PAGE_SIZE:], listed[:PAGE_SIZE]
        studies = queue_status.count_studies(session, now=now())
        series = queue_status.count_series(session, now=now())
        scanners = worklist.list_scanners(session)
        held = held_content(session)
        record_access(session, user.audit_actor, "worklist", now=now(), detail=_ids(listed))
        if used:
            note_query(session, user.audit_actor, urlencode(used), now=now())
    next_query = {**used, "after": listed[-1].study.id} if more else None
    return render(
        request,
        "worklist.html",
        rows=[_row_context(app_state, one) for one in listed],
        demonstration_model=any(is_demonstration(one.screening) for one in listed),
        counts={"Studies": studies, "Series": series},
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
    """Find studies by an identifier of theirs or of one of their series.

    This is a POST so that patient identifiers are not in addresses, histories or logs.
    """
    identifier = form_text(form, "identifier")
    with app_state.sessions.begin() as session:
        found = study_worklist.find_studies(session, identifier) if identifier else []
        record_access(session, user.audit_actor, "search", now=now(), detail=_ids(found))
        if identifier:
            note_query(session, user.audit_actor, identifier, now=now())
    if len(found) == 1 and found[0].main is not None:
        named = [one for one in found[0].series if one.series_instance_uid == identifier]
        return redirect(f"/series/{next(iter(named), found[0].main).id}")
    return render(
        request,
        "found.html",
        rows=[_row_context(app_state, one) for one in found],
        demonstration_model=any(is_demonstration(one.screening) for one in found),
        has_identifier=bool(identifier),
        limit=study_worklist.FIND_LIMIT,
    )


def _ids(listed: Sequence[ListedStudy]) -> Mapping[str, Any]:
    return {"series": [series.id for one in listed for series in one.series]}


def _row_context(app_state: AppState, listed: ListedStudy) -> Mapping[str, Any]:
    main, screening = listed.main, listed.screening
    path = (
        main
        and screening
        and picture_path(
            app_state.settings.spool_dir, main, screening.revision, screening.folder
        )
    )
    return {
        "study": listed.study,
        "main": main,
        "series": listed.series,
        "used_for": listed.used_for,
        "screening": screening,
        "hips": listed.hips,
        "grade_probability": grade_probability(
            listed.hips, screening.grade if screening else None
        ),
        "outdated": main is not None
        and screening is not None
        and screening.revision != main.revision,
        "thumbnail": path and thumbnail_uri(path),
    }


def _parse_filters(query: WorklistQuery) -> Filters:
    maker, _, model = query.scanner.partition(" / ")
    try:
        return Filters(
            grade=_parse_grade(query.grade),
            reason=query.reason or None,
            manufacturer=maker or None,
            scanner_model=model or None,
            since=_parse_day(query.since),
            until=_parse_day(query.until),
        )
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, INVALID_FILTER) from None


def _parse_state(value: str) -> AnyState | None:
    """Return the state of a study of this name, else that of a series."""
    for states in (StudyState, SeriesState):
        if value in set(states):
            return states(value)
    if value:
        raise HTTPException(HTTPStatus.BAD_REQUEST, INVALID_FILTER)
    return None


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


def _parse_after(after: str) -> int | None:
    """Return the study ID of a page's address; answer 400 if no row can have it."""
    if not after:
        return None
    if not after.isascii() or not after.isdecimal() or not 0 < int(after) < 2**63:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "There is no such page.")
    return int(after)
