"""DXA results entered or imported later, and how the grades stand up to them."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import UploadFile

from db.access_log import record_access
from db.dxa import MAX_DAYS_APART, NewDxa, add_dxa, count_with_ct, pairs
from worker.pipeline.results import Grade
from worker.review import accuracy
from worker.review.charts import Span, reliability
from worker.review.desk import AtDesk, Desk, Form, Visiting, needs, now, render, text_of
from worker.review.dxa_table import COLUMNS, TableProblem, read_one, read_table
from worker.review.roles import Role, Visitor

router = APIRouter()
Reader = Annotated[Visitor, Depends(needs(Role.READER))]

QUESTIONS = {
    "Osteoporosis (T ≤ −2.5)": frozenset({Grade.OSTEOPOROSIS}),
    "Osteopenia or osteoporosis (T < −1.0)": frozenset({Grade.OSTEOPENIA, Grade.OSTEOPOROSIS}),
}


@router.get("/accuracy")
def show_accuracy(
    request: Request, desk: AtDesk, visitor: Visiting, model: str = ""
) -> Response:
    """Sensitivity, specificity, predictive values and calibration so far, of one model."""
    with desk.sessions.begin() as session:
        found = pairs(session)
        record_access(session, visitor.looker, "accuracy", now=now())
    runs = [pair.screening for pair in found if pair.screening is not None]
    models = list(
        dict.fromkeys(
            f"{run.model_name} {run.model_version}"
            for run in sorted(runs, key=lambda run: run.id, reverse=True)
        )
    )
    chosen = model if model in models else (models[0] if models else "")
    compared, ungraded = accuracy.compare(
        pair
        for pair in found
        if pair.screening is None
        or f"{pair.screening.model_name} {pair.screening.model_version}" == chosen
    )
    bins = accuracy.calibration(compared)
    return render(
        request,
        "accuracy.html",
        models=models,
        chosen=chosen,
        compared=compared,
        ungraded=ungraded,
        questions={
            name: accuracy.measures(compared, positive) for name, positive in QUESTIONS.items()
        },
        confusion=accuracy.confusion(compared),
        bins=bins,
        brier=accuracy.brier_score(compared),
        chart=_chart(bins),
        days=MAX_DAYS_APART,
        small_n=accuracy.SMALL_N,
        columns=COLUMNS,
    )


@router.post("/dxa")
def enter(request: Request, desk: AtDesk, reader: Reader, form: Form) -> Response:
    """One result, from the form."""
    values = {name: text_of(form, name) for name in COLUMNS}
    try:
        results = [read_one(values, today=now().date())]
    except TableProblem as problem:
        return _entered(request, problems=problem.lines)
    return _add(request, desk, reader, results)


@router.post("/dxa/import")
def import_table(request: Request, desk: AtDesk, reader: Reader, form: Form) -> Response:
    """Many results, from a CSV: all of them or none."""
    file = form.get("file")
    if not isinstance(file, UploadFile) or not file.size:
        return _entered(request, problems=["Choose a CSV file."])
    try:
        results = read_table(file.file.read(), today=now().date())
    except TableProblem as problem:
        return _entered(request, problems=problem.lines)
    return _add(request, desk, reader, results)


def _add(request: Request, desk: Desk, reader: Visitor, results: list[NewDxa]) -> Response:
    with desk.sessions.begin() as session:
        added = add_dxa(session, results, entered_by=reader.name, now=now())
        matched = count_with_ct(session, results)
    return _entered(request, added=added, known=len(results) - added, matched=matched)


def _entered(
    request: Request,
    *,
    problems: list[str] | None = None,
    added: int = 0,
    known: int = 0,
    matched: int = 0,
) -> Response:
    return render(
        request,
        "dxa_entered.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
        problems=problems or [],
        added=added,
        known=known,
        matched=matched,
        days=MAX_DAYS_APART,
    )


def _chart(bins: list[accuracy.Bin]) -> str | None:
    spans = []
    for one in bins:
        low, high = one.observed.interval or (0.0, 1.0)
        label = f"{one.observed.count} of {one.observed.total} patients"
        spans.append((one.mean, Span(label, low, one.observed.share or 0.0, high)))
    title = "Share of patients with osteoporosis by DXA over the predicted probability"
    return reliability(spans, title) if spans else None
