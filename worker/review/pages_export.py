"""Files that leave the page: each is on record with who took it."""

import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import StreamingResponse

from db import dxa
from db.access_log import record_access
from db.dxa import Pair
from db.export import all_series
from worker.review.desk import AtDesk, Desk, Visiting, needs, now, render
from worker.review.export_rows import (
    LABEL_COLUMNS,
    RESULT_COLUMNS,
    csv_lines,
    label_rows,
    result_row,
)
from worker.review.roles import Role, Visitor

router = APIRouter()
Operator = Annotated[Visitor, Depends(needs(Role.OPERATOR))]


@router.get("/export")
def show_exports(request: Request, visitor: Visiting) -> Response:
    """What there is, and what it is good for."""
    return render(
        request, "export.html", result_columns=RESULT_COLUMNS, label_columns=LABEL_COLUMNS
    )


@router.get("/export/results.csv")
def export_results(desk: AtDesk, visitor: Visiting) -> Response:
    """All series, without identifiers."""
    _record(desk, visitor, "results.csv")

    def rows() -> Iterator[dict[str, Any]]:
        with desk.sessions() as session:
            for listed, said in all_series(session):
                yield result_row(listed, said)

    return _csv(RESULT_COLUMNS, rows(), "results.csv")


@router.get("/export/labels.csv")
def export_labels(desk: AtDesk, operator: Operator) -> Response:
    """Hips with a T-score: a manifest that ``training prepare`` reads as it is."""
    _record(desk, operator, "labels.csv")
    rows = (row for row in _labels(desk) if row["t_score"] is not None)
    return _csv(LABEL_COLUMNS, rows, "labels.csv")


@router.get("/export/feedback.csv")
def export_feedback(desk: AtDesk, operator: Operator) -> Response:
    """Hips that a reader spoke of, with a T-score where there is one."""
    _record(desk, operator, "feedback.csv")
    rows = (row for row in _labels(desk) if row["reader_opinions"])
    return _csv(LABEL_COLUMNS, rows, "feedback.csv")


def _labels(desk: Desk) -> Iterator[dict[str, Any]]:
    key = secrets.token_bytes(32)
    spool_dir = desk.settings.spool_dir.resolve()
    with desk.sessions() as session:
        by_series: defaultdict[int, list[Pair]] = defaultdict(list)
        for pair in dxa.pairs(session):
            by_series[pair.series_id].append(pair)
        for listed, said in all_series(session):
            pairs = by_series.get(listed.series.id, [])
            yield from label_rows(listed, said, pairs, spool_dir=spool_dir, key=key)


def _record(desk: Desk, visitor: Visitor, name: str) -> None:
    with desk.sessions.begin() as session:
        record_access(session, visitor.looker, "export", now=now(), detail={"file": name})


def _csv(
    columns: Sequence[str], rows: Iterable[Mapping[str, Any]], name: str
) -> StreamingResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    lines = csv_lines(columns, rows)
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)
