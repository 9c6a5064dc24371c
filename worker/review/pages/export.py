"""Exported CSV files. Each download is written to the access log."""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from db.access_log import record_access
from db.worklist import all_series
from worker.review.clock import now
from worker.review.dependencies import CurrentOperator, CurrentUser
from worker.review.export_rows import (
    LABEL_COLUMNS,
    RESULT_COLUMNS,
    csv_lines,
    result_row,
)
from worker.review.labeled_hips import labeled_hips
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
    _record_export(app_state, user, "results.csv")

    def rows() -> Iterator[dict[str, Any]]:
        with app_state.sessions() as session:
            for listed, feedback in all_series(session):
                yield result_row(listed, feedback)

    return _csv_response(RESULT_COLUMNS, rows(), "results.csv")


@router.get("/export/labels.csv")
def export_labels(app_state: CurrentState, operator: CurrentOperator) -> Response:
    """Export hips with a T-score as a manifest for ``training prepare``."""
    _record_export(app_state, operator, "labels.csv")
    rows = (row for row in _label_rows(app_state) if row["t_score"] is not None)
    return _csv_response(LABEL_COLUMNS, rows, "labels.csv")


@router.get("/export/feedback.csv")
def export_feedback(app_state: CurrentState, operator: CurrentOperator) -> Response:
    """Export hips with reader feedback; the T-score may be empty."""
    _record_export(app_state, operator, "feedback.csv")
    rows = (row for row in _label_rows(app_state) if row["reader_opinions"])
    return _csv_response(LABEL_COLUMNS, rows, "feedback.csv")


def _label_rows(app_state: AppState) -> Iterator[dict[str, Any]]:
    key = secrets.token_bytes(32)
    return labeled_hips(app_state.sessions, spool_dir=app_state.settings.spool_dir, key=key)


def _record_export(app_state: AppState, user: User, name: str) -> None:
    with app_state.sessions.begin() as session:
        record_access(session, user.audit_actor, "export", now=now(), detail={"file": name})


def _csv_response(
    columns: Sequence[str], rows: Iterable[Mapping[str, Any]], name: str
) -> StreamingResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    lines = csv_lines(columns, rows)
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)
