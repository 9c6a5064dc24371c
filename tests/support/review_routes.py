"""Routes of the review page."""

from fastapi.routing import APIRoute

from tests.support.review_examples import ExampleSeries
from worker.review.app import ROUTERS

ROUTES = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def filled(path: str, series: ExampleSeries) -> str:
    """Return a route's path with parameters of an existing series."""
    path = path.replace("{series_id}", str(series.delivered)).replace("{revision}", "1")
    assert "{" not in path
    return path
