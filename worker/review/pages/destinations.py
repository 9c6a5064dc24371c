"""Destinations: delivery counts, pause and resume."""

import re
from http import HTTPStatus

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.datastructures import FormData

from common.logging import get_logger
from db import pauses, queue_status
from worker.review.clock import now
from worker.review.dependencies import (
    CurrentOperator,
    CurrentUser,
    VerifiedForm,
    form_text,
)
from worker.review.rendering import redirect, render
from worker.review.state import CurrentState

router = APIRouter()
log = get_logger(__name__)
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@router.get("/destinations")
def show_destinations(request: Request, app_state: CurrentState, user: CurrentUser) -> Response:
    """Show a row for every destination that has had a delivery or is paused."""
    with app_state.sessions.begin() as session:
        names = queue_status.list_destinations(session)
        counts = queue_status.count_deliveries(session, now=now())
        paused = {one.destination: one for one in pauses.paused(session)}
    return render(
        request,
        "destinations.html",
        names=sorted({*names, *paused}),
        counts=counts,
        paused=paused,
    )


@router.post("/destinations/pause")
def pause(app_state: CurrentState, operator: CurrentOperator, form: VerifiedForm) -> Response:
    """Stop deliveries to a destination."""
    name = _destination(form)
    with app_state.sessions.begin() as session:
        changed = pauses.pause(session, name, actor=operator.event_actor, now=now())
    log.info("destination_paused", destination=name, changed=changed)
    return redirect("/destinations")


@router.post("/destinations/resume")
def resume(app_state: CurrentState, operator: CurrentOperator, form: VerifiedForm) -> Response:
    """Resume deliveries to a destination; waiting objects are due at once."""
    name = _destination(form)
    with app_state.sessions.begin() as session:
        changed = pauses.resume(session, name, actor=operator.event_actor, now=now())
    log.info("destination_resumed", destination=name, changed=changed)
    return redirect("/destinations")


def _destination(form: FormData) -> str:
    name = form_text(form, "destination")
    if not NAME.fullmatch(name):
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "There is no such destination.")
    return name
