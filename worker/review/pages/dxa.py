"""DXA results: entry, import, and the accuracy of the grades against them."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from markupsafe import Markup
from starlette.datastructures import UploadFile

from db.access_log import record_access
from db.dxa import NewDxa, Pair, add_dxa, count_with_ct, pairs
from db.models import Screening
from worker.pipeline.grading import MAX_DAYS_APART
from worker.pipeline.results import Grade
from worker.review import accuracy
from worker.review.charts import ValueRange, reliability_diagram
from worker.review.clock import now
from worker.review.dependencies import CurrentReader, CurrentUser, VerifiedForm, form_text
from worker.review.dxa_table import COLUMNS, InvalidDxa, parse_row, parse_table
from worker.review.rendering import render
from worker.review.state import AppState, CurrentState
from worker.review.users import User

router = APIRouter()

POSITIVE_GRADES = {
    "Osteoporosis (T ≤ −2.5)": frozenset({Grade.OSTEOPOROSIS}),
    "Osteopenia or osteoporosis (T < −1.0)": frozenset({Grade.OSTEOPENIA, Grade.OSTEOPOROSIS}),
}


@router.get("/accuracy")
def show_accuracy(
    request: Request, app_state: CurrentState, user: CurrentUser, model: str = ""
) -> Response:
    """Show sensitivity, specificity, predictive values and calibration of one model."""
    with app_state.sessions.begin() as session:
        found = pairs(session, max_days_apart=MAX_DAYS_APART)
        record_access(session, user.audit_actor, "accuracy", now=now())
    models = _models(found)
    chosen = model if model in models else next(iter(models), "")
    compared, ungraded = accuracy.compare(
        pair for pair in found if pair.screening is None or _model(pair.screening) == chosen
    )
    return render(
        request,
        "accuracy.html",
        models=models,
        chosen=chosen,
        ungraded=ungraded,
        **_accuracy_context(compared),
        days=MAX_DAYS_APART,
        small_sample=accuracy.SMALL_SAMPLE,
        columns=COLUMNS,
    )


@router.post("/dxa")
def enter(
    request: Request, app_state: CurrentState, reader: CurrentReader, form: VerifiedForm
) -> Response:
    """Save one result from the form."""
    values = {name: form_text(form, name) for name in COLUMNS}
    try:
        results = [parse_row(values, today=now().date())]
    except InvalidDxa as error:
        return _outcome_page(request, problems=error.problems)
    return _save(request, app_state, reader, results)


@router.post("/dxa/import")
def import_table(
    request: Request, app_state: CurrentState, reader: CurrentReader, form: VerifiedForm
) -> Response:
    """Save the results of a CSV or XLSX file: all of them or none."""
    file = form.get("file")
    if not isinstance(file, UploadFile) or not file.size:
        return _outcome_page(request, problems=["Choose a CSV or XLSX file."])
    try:
        results = parse_table(file.file.read(), today=now().date())
    except InvalidDxa as error:
        return _outcome_page(request, problems=error.problems)
    return _save(request, app_state, reader, results)


def _model(screening: Screening) -> str:
    return f"{screening.model_name} {screening.model_version}"


def _models(found: Sequence[Pair]) -> list[str]:
    """Return the models of the graded series, that of the newest screening first."""
    screenings = [pair.screening for pair in found if pair.screening is not None]
    newest_first = sorted(screenings, key=lambda screening: screening.id, reverse=True)
    return list(dict.fromkeys(map(_model, newest_first)))


def _accuracy_context(compared: Sequence[accuracy.Comparison]) -> Mapping[str, Any]:
    bins = accuracy.calibration(compared)
    return {
        "compared": compared,
        "measures_by_target": {
            target: accuracy.measures(compared, positive)
            for target, positive in POSITIVE_GRADES.items()
        },
        "confusion": accuracy.confusion(compared),
        "bins": bins,
        "brier": accuracy.brier_score(compared),
        "chart": _calibration_chart(bins),
    }


def _save(
    request: Request, app_state: AppState, reader: User, results: list[NewDxa]
) -> Response:
    with app_state.sessions.begin() as session:
        added = add_dxa(session, results, entered_by=reader.name, now=now())
        matched = count_with_ct(session, results, max_days_apart=MAX_DAYS_APART)
    return _outcome_page(request, added=added, known=len(results) - added, matched=matched)


def _outcome_page(
    request: Request,
    *,
    problems: Sequence[str] = (),
    added: int = 0,
    known: int = 0,
    matched: int = 0,
) -> Response:
    return render(
        request,
        "dxa_entered.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
        problems=problems,
        added=added,
        known=known,
        matched=matched,
        days=MAX_DAYS_APART,
    )


def _calibration_chart(bins: Sequence[accuracy.CalibrationBin]) -> Markup | None:
    points = []
    for one in bins:
        low, high = one.observed.interval or (0.0, 1.0)
        label = f"{one.observed.count} of {one.observed.total} patients"
        points.append((one.mean, ValueRange(label, low, one.observed.value or 0.0, high)))
    title = "Share of patients with osteoporosis by DXA over the predicted probability"
    return reliability_diagram(points, title) if points else None
