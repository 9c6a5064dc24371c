"""Actions on a series: reader feedback, screening again, sending again."""

from http import HTTPStatus
from typing import get_args

from fastapi import APIRouter, HTTPException, Response
from starlette.datastructures import FormData

from common.logging import get_logger
from db.feedback import NamesPatient, ReaderFeedback, add_feedback
from db.held import decide, held_of_series
from db.history import history_of
from db.models import Screening
from db.retry import may_screen_again, redeliver, retry_one
from db.worklist import Grade
from worker.review.clock import now
from worker.review.dependencies import (
    CurrentOperator,
    CurrentReader,
    VerifiedForm,
    form_text,
)
from worker.review.pages.series import (
    count_spooled_images,
    displayed_screening,
    get_series_or_404,
)
from worker.review.rendering import redirect
from worker.review.state import AppState, CurrentState
from worker.review.users import User

router = APIRouter()
log = get_logger(__name__)

MAX_COMMENT_LENGTH = 1000


@router.post("/series/{series_id}/retry")
def retry(
    app_state: CurrentState, operator: CurrentOperator, series_id: int, form: VerifiedForm
) -> Response:
    """Queue a failed or rejected series again, or retry refused and waiting deliveries."""
    with app_state.sessions.begin() as session:
        series = get_series_or_404(session, series_id)
        if may_screen_again(session, series) and not count_spooled_images(app_state, series):
            raise HTTPException(
                HTTPStatus.CONFLICT,
                "The images of this series are no longer in the spool: send them again.",
            )
        done = retry_one(session, series, actor=operator.event_actor, now=now())
    log.info(
        "retried", series_instance_uid=series.series_instance_uid, screening=done.screening
    )
    return redirect(f"/series/{series_id}")


@router.post("/series/{series_id}/redeliver")
def send_again(
    app_state: CurrentState, operator: CurrentOperator, series_id: int, form: VerifiedForm
) -> Response:
    """Send report and picture again to every destination that has them."""
    with app_state.sessions.begin() as session:
        series = get_series_or_404(session, series_id)
        count = redeliver(session, series, actor=operator.event_actor, now=now())
    log.info("redelivered", series_instance_uid=series.series_instance_uid, deliveries=count)
    return redirect(f"/series/{series_id}")


@router.post("/series/{series_id}/accept")
def accept_content(
    app_state: CurrentState, operator: CurrentOperator, series_id: int, form: VerifiedForm
) -> Response:
    """Accept changed content from another sender: the series gets a new revision."""
    return _decide(app_state, operator, series_id, form, accept=True)


@router.post("/series/{series_id}/refuse")
def refuse_content(
    app_state: CurrentState, operator: CurrentOperator, series_id: int, form: VerifiedForm
) -> Response:
    """Refuse changed content from another sender: the Storage SCP deletes it."""
    return _decide(app_state, operator, series_id, form, accept=False)


def _decide(
    app_state: AppState, operator: User, series_id: int, form: FormData, *, accept: bool
) -> Response:
    """Decide about the content that the form shows; later content needs another decision."""
    with app_state.sessions.begin() as session:
        series = get_series_or_404(session, series_id)
        shown = form_text(form, "held")
        held = [
            one for one in held_of_series(session, [series_id]) if str(one.newest_id) == shown
        ]
        if not held:
            raise HTTPException(
                HTTPStatus.CONFLICT,
                "This content has been decided about, or more has arrived. Go back and reload"
                " the page.",
            )
        actor = operator.event_actor
        count = decide(session, held[0], accept=accept, actor=actor, now=now())
    log.info(
        "changed_content_accepted" if accept else "changed_content_refused",
        series_instance_uid=series.series_instance_uid,
        instances=count,
    )
    return redirect(f"/series/{series_id}")


@router.post("/series/{series_id}/feedback")
def give_feedback(
    app_state: CurrentState, reader: CurrentReader, series_id: int, form: VerifiedForm
) -> Response:
    """Append a reader's feedback on one hip of the displayed result."""
    with app_state.sessions.begin() as session:
        series = get_series_or_404(session, series_id)
        screening = displayed_screening(history_of(session, series))
        feedback = _parse_feedback(form, screening, reader)
        try:
            add_feedback(session, series, feedback, now=now())
        except NamesPatient:
            raise HTTPException(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "The comment contains the patient ID or the accession number. Go back and"
                " remove it: comments are exported without the patient.",
            ) from None
    return redirect(f"/series/{series_id}#feedback-{feedback.side}")


def _parse_feedback(
    form: FormData, screening: Screening | None, reader: User
) -> ReaderFeedback:
    if screening is None or form_text(form, "screening") != str(screening.id):
        raise HTTPException(
            HTTPStatus.CONFLICT, "There is a newer result. Go back and reload the page."
        )
    verdict, grade = form_text(form, "verdict"), form_text(form, "grade")
    side = form_text(form, "side")
    is_valid = (
        side in {"R", "L"}
        and verdict in {"agree", "disagree"}
        and (not grade or (grade in get_args(Grade) and verdict == "disagree"))
    )
    if not is_valid:
        raise HTTPException(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "Choose whether you agree. Choose another grade only if you disagree.",
        )
    return ReaderFeedback(
        screening_id=screening.id,
        side=side,
        reader=reader.name,
        agrees=verdict == "agree",
        corrected_grade=grade or None,
        comment=form_text(form, "comment", max_length=MAX_COMMENT_LENGTH) or None,
    )
