"""State shared by all pages: settings, database, authenticator and templates."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from jinja2 import Environment

from common.settings.review import ReviewSettings
from db.session import Engine, Sessions
from worker.review.authentication import Authenticator


@dataclass(frozen=True, slots=True)
class AppState:
    """Objects that live as long as the application."""

    settings: ReviewSettings
    engine: Engine
    sessions: Sessions
    authenticator: Authenticator
    templates: Environment


def get_app_state(request: Request) -> AppState:
    """Return the state of the application that serves this request."""
    app_state: AppState = request.app.state.app_state
    return app_state


CurrentState = Annotated[AppState, Depends(get_app_state)]
