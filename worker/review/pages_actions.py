"""What readers and operators do to a series: give feedback, screen again, send again."""

from http import HTTPStatus
from typing import Annotated, get_args

from fastapi import APIRouter, Depends, HTTPException, Response
from starlette.datastructures import FormData

from db import overview
from db.feedback import NamesPatient, Opinion, add_feedback
from db.models import Screening
from db.retry import SCREEN_AGAIN, redeliver, retry_one
from db.telemetry import get_logger
from db.worklist import Grade
from worker.review.desk import AtDesk, Form, needs, now, see, text_of
from worker.review.pages_series import images_left, known_series, newest_result
from worker.review.roles import Role, Visitor

router = APIRouter()
log = get_logger(__name__)

Operator = Annotated[Visitor, Depends(needs(Role.OPERATOR))]
Reader = Annotated[Visitor, Depends(needs(Role.READER))]
LONGEST_COMMENT = 1000


@router.post("/series/{series_id}/retry")
def retry(desk: AtDesk, operator: Operator, series_id: int, form: Form) -> Response:
    """Screen a failed or rejected series again; send what was refused or waits."""
    with desk.sessions.begin() as session:
        series = known_series(session, series_id)
        if series.state in SCREEN_AGAIN and not images_left(desk, series):
            raise HTTPException(
                HTTPStatus.CONFLICT,
                "The images of this series are no longer in the spool: send them again.",
            )
        done = retry_one(session, series, actor=operator.actor, now=now())
    log.info(
        "retried", series_instance_uid=series.series_instance_uid, screening=done.screening
    )
    return see(f"/series/{series_id}")


@router.post("/series/{series_id}/redeliver")
def send_again(desk: AtDesk, operator: Operator, series_id: int, form: Form) -> Response:
    """Send report and picture once more to every destination that had them."""
    with desk.sessions.begin() as session:
        series = known_series(session, series_id)
        count = redeliver(session, series, actor=operator.actor, now=now())
    log.info("redelivered", series_instance_uid=series.series_instance_uid, deliveries=count)
    return see(f"/series/{series_id}")


@router.post("/series/{series_id}/feedback")
def give_feedback(desk: AtDesk, reader: Reader, series_id: int, form: Form) -> Response:
    """Append what a reader says about one hip of the result that he saw."""
    with desk.sessions.begin() as session:
        series = known_series(session, series_id)
        run = newest_result(overview.history_of(session, series))
        opinion = _opinion(form, run, reader)
        try:
            add_feedback(session, series, opinion, now=now())
        except NamesPatient:
            raise HTTPException(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "The comment holds the patient ID or the accession number. Go back and leave"
                " it out: comments are exported without the patient.",
            ) from None
    return see(f"/series/{series_id}#feedback-{opinion.side}")


def _opinion(form: FormData, run: Screening | None, reader: Visitor) -> Opinion:
    if run is None or text_of(form, "screening") != str(run.id):
        raise HTTPException(
            HTTPStatus.CONFLICT, "Meanwhile there is a newer result: go back and look at it."
        )
    verdict, grade = text_of(form, "verdict"), text_of(form, "grade")
    side = text_of(form, "side")
    understood = (
        side in {"R", "L"}
        and verdict in {"agree", "disagree"}
        and (not grade or (grade in get_args(Grade) and verdict == "disagree"))
    )
    if not understood:
        raise HTTPException(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "Choose whether you agree; only a result that is not right has another grade.",
        )
    return Opinion(
        screening_id=run.id,
        side=side,
        reader=reader.name,
        agrees=verdict == "agree",
        corrected_grade=grade or None,
        comment=text_of(form, "comment", longest=LONGEST_COMMENT) or None,
    )
