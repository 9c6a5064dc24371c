"""The two tasks. A message is a nudge: what is due, and who may do it, the database decides."""

from sqlalchemy.exc import OperationalError

from db.queue import DELIVER_TASK, SCREEN_TASK
from db.telemetry import get_logger
from worker.celery import app, nudges, workshop
from worker.delivery import deliver_objects
from worker.screening import screen_series

log = get_logger(__name__)


@app.task(name=SCREEN_TASK)  # type: ignore[untyped-decorator]
def screen(series_id: int) -> None:
    """Screen a series and ask for the delivery of its objects."""
    try:
        screening_id = screen_series(workshop, series_id)
    except OperationalError as error:
        log.warning("database_away", series_id=series_id, error=type(error).__name__)
        return
    if screening_id is not None:
        for destination in workshop.settings.destinations:
            nudges.deliver(screening_id, destination.name)


@app.task(name=DELIVER_TASK)  # type: ignore[untyped-decorator]
def deliver(screening_id: int, destination: str) -> None:
    """Send the due objects of a screening to one destination."""
    try:
        deliver_objects(workshop, screening_id, destination)
    except OperationalError as error:
        log.warning("database_away", screening_id=screening_id, error=type(error).__name__)
