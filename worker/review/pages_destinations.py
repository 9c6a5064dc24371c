"""Destinations: what was sent, what waits, what was refused; pause and resume."""

import re
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from db import pause as pauses
from db import standing
from db.telemetry import get_logger
from worker.review.desk import AtDesk, Form, Visiting, needs, now, render, see, text_of
from worker.review.roles import Role, Visitor

router = APIRouter()
log = get_logger(__name__)
Operator = Annotated[Visitor, Depends(needs(Role.OPERATOR))]
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@router.get("/destinations")
def show_destinations(request: Request, desk: AtDesk, visitor: Visiting) -> Response:
    """One line a destination that anything was ever owed to, or that is paused."""
    with desk.sessions.begin() as session:
        names = standing.list_destinations(session)
        counts = standing.count_deliveries(session, now=now())
        paused = {one.destination: one for one in pauses.paused(session)}
    return render(
        request,
        "destinations.html",
        names=sorted({*names, *paused}),
        counts=counts,
        paused=paused,
    )


@router.post("/destinations/pause")
def pause(desk: AtDesk, operator: Operator, form: Form) -> Response:
    """Send nothing there from now on."""
    name = _name(form)
    with desk.sessions.begin() as session:
        changed = pauses.pause(session, name, actor=operator.actor, now=now())
    log.info("destination_paused", destination=name, changed=changed)
    return see("/destinations")


@router.post("/destinations/resume")
def resume(desk: AtDesk, operator: Operator, form: Form) -> Response:
    """Send again, what waits at once."""
    name = _name(form)
    with desk.sessions.begin() as session:
        changed = pauses.resume(session, name, actor=operator.actor, now=now())
    log.info("destination_resumed", destination=name, changed=changed)
    return see("/destinations")


def _name(form: Form) -> str:
    name = text_of(form, "destination")
    if not NAME.fullmatch(name):
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "No such destination.")
    return name
