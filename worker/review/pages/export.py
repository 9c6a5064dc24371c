"""Exported CSV files. Each download is written to the access log."""

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from db.access_log import record_export
from db.worklist import all_series
from worker.review.clock import now
from worker.review.dependencies import CurrentOperator, CurrentUser
from worker.review.export_rows import (
    LABEL_COLUMNS,
    RESULT_COLUMNS,
    csv_lines,
    result_row,
)
from worker.review.labeled_hips import LabeledHip, labeled_hips
from worker.review.rendering import render
from worker.review.state import AppState, CurrentState
from worker.review.users import User

router = APIRouter()


@router.get("/export")
def show_exports(request: Request, user: CurrentUser) -> Response:
    """Show the files, what they contain and how to use them."""
    return render(
        request, "export.html", result_columns=RESULT_COLUMNS, label_columns=LABEL_COLUMNS
    )


@router.get("/export/results.csv")
def export_results(app_state: CurrentState, user: CurrentUser) -> Response:
    """Export all series without identifiers."""
    _record_export(app_state, user, "results.csv", ())

    def rows() -> Iterator[dict[str, Any]]:
        with app_state.sessions() as session:
            for listed, feedback in all_series(session):
                yield result_row(listed, feedback)

    return _csv_response(RESULT_COLUMNS, rows(), "results.csv")


@router.get("/export/labels.csv")
def export_labels(app_state: CurrentState, operator: CurrentOperator) -> Response:
    """Export hips with a T-score as a manifest for ``training prepare``."""
    hips = [hip for hip in _labeled_hips(app_state) if hip.row["t_score"] is not None]
    return _send_labels(app_state, operator, hips, "labels.csv")


@router.get("/export/feedback.csv")
def export_feedback(app_state: CurrentState, operator: CurrentOperator) -> Response:
    """Export hips with reader feedback; the T-score may be empty."""
    hips = [hip for hip in _labeled_hips(app_state) if hip.row["reader_opinions"]]
    return _send_labels(app_state, operator, hips, "feedback.csv")


def _labeled_hips(app_state: AppState) -> Iterator[LabeledHip]:
    key = secrets.token_bytes(32)
    return labeled_hips(app_state.sessions, spool_dir=app_state.settings.spool_dir, key=key)


def _send_labels(
    app_state: AppState, user: User, hips: Sequence[LabeledHip], name: str
) -> StreamingResponse:
    """Record the export with its studies, which ``series_dir`` names, then send it."""
    _record_export(app_state, user, name, {hip.study_instance_uid for hip in hips})
    return _csv_response(LABEL_COLUMNS, (hip.row for hip in hips), name)


def _record_export(
    app_state: AppState, user: User, name: str, study_uids: Collection[str]
) -> None:
    with app_state.sessions.begin() as session:
        record_export(session, user.audit_actor, name, study_uids, now=now())


def _csv_response(
    columns: Sequence[str], rows: Iterable[Mapping[str, Any]], name: str
) -> StreamingResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    lines = csv_lines(columns, rows)
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)
