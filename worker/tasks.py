"""The Celery tasks.

A message only announces work. The database decides what is due and which worker may do it.
"""

from celery import Celery

from common.logging import get_logger
from common.task_publisher import (
    DELIVER_TASK,
    SCREEN_STUDY_TASK,
    SCREEN_TASK,
    TaskPublisher,
)
from db.session import DatabaseUnavailable
from worker.context import WorkerContext
from worker.delivery.deliver_screening import deliver_screening
from worker.screening.screen_series import screen_series
from worker.screening.screen_study import screen_study

log = get_logger(__name__)


def register_tasks(app: Celery, context: WorkerContext, publisher: TaskPublisher) -> None:
    """Register the tasks at an app, and at no other app of the process."""

    def publish_deliveries(screening_id: int | None) -> None:
        if screening_id is not None:
            for destination in context.settings.destinations:
                publisher.deliver(screening_id, destination.name)

    @app.task(name=SCREEN_TASK, shared=False)  # type: ignore[untyped-decorator]
    def screen(series_id: int) -> None:
        """Screen a series and request the delivery of its objects."""
        try:
            screening_id = screen_series(context, series_id)
        except DatabaseUnavailable as error:
            log.warning("database_away", series_id=series_id, error=type(error).__name__)
            return
        publish_deliveries(screening_id)

    @app.task(name=SCREEN_STUDY_TASK, shared=False)  # type: ignore[untyped-decorator]
    def screen_one_study(study_id: int) -> None:
        """Screen a study and request the delivery of its objects."""
        try:
            screening_id = screen_study(context, study_id)
        except DatabaseUnavailable as error:
            log.warning("database_away", study_id=study_id, error=type(error).__name__)
            return
        publish_deliveries(screening_id)

    @app.task(name=DELIVER_TASK, shared=False)  # type: ignore[untyped-decorator]
    def deliver(screening_id: int, destination: str) -> None:
        """Send the due objects of a screening to one destination."""
        try:
            deliver_screening(context, screening_id, destination)
        except DatabaseUnavailable as error:
            log.warning("database_away", screening_id=screening_id, error=type(error).__name__)
