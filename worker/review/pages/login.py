"""Login, logout and health check; the first and the last need no login."""

import asyncio
import re
import secrets
from http import HTTPStatus

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from common.logging import get_logger
from db.access_log import AuditActor, record_access
from worker.review.authentication import (
    LOGIN_COOKIE,
    SESSION_COOKIE,
    is_same_token,
)
from worker.review.clock import now
from worker.review.dependencies import CurrentUser, VerifiedForm, form_text
from worker.review.rendering import redirect, render
from worker.review.sessions import SESSION_SECONDS
from worker.review.state import AppState, CurrentState, get_app_state

router = APIRouter()
log = get_logger(__name__)
REFUSAL_SECONDS = 1.0
LOCAL_PATH = re.compile(r"/[a-z0-9/-]*")


@router.get("/health")
def health(app_state: CurrentState) -> Response:
    """Answer load balancers: 200 if the database answers."""
    with app_state.engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    return JSONResponse({"status": "ok"})


@router.get("/login")
def show_login(request: Request, app_state: CurrentState, next: str = "/") -> Response:
    """Show the login form, or redirect a user who is logged in."""
    if request.state.user is not None:
        return redirect(_local_path(next))
    return _login_page(request, app_state, next)


@router.post("/login")
async def log_in(request: Request, app_state: CurrentState) -> Response:
    """Open a session if the token is known."""
    form = await request.form(max_files=0, max_fields=5)
    cookie = request.cookies.get(LOGIN_COOKIE, "")
    csrf = app_state.authenticator.csrf(f"login {cookie}")
    if not cookie or not is_same_token(form_text(form, "csrf"), csrf):
        raise HTTPException(HTTPStatus.FORBIDDEN, "Open the login page again and log in there.")
    authenticator = app_state.authenticator
    if (wait_seconds := authenticator.login_wait_seconds(request)) > 0:
        raise _too_many_attempts(request, wait_seconds)
    target = form_text(form, "next")
    address = authenticator.address(request)
    token = form_text(form, "token", max_length=1000)
    session_id = authenticator.open_session(token, address)
    user = session_id and authenticator.session_user(session_id, address)
    if not session_id or not user:
        authenticator.count_failed_login(request)
        log.warning("login_refused", address=address)
        await run_in_threadpool(
            _record, app_state, AuditActor("", "anonymous", address), "login_refused"
        )
        await asyncio.sleep(REFUSAL_SECONDS)
        return _login_page(request, app_state, target, problem="This token is not known.")
    await run_in_threadpool(_record, app_state, user.audit_actor, "login")
    response = redirect(_local_path(target))
    _set_cookie(request, response, SESSION_COOKIE, session_id)
    response.delete_cookie(LOGIN_COOKIE)
    return response


@router.post("/logout")
def log_out(
    request: Request, app_state: CurrentState, user: CurrentUser, form: VerifiedForm
) -> Response:
    """End the session."""
    app_state.authenticator.close_session(request)
    _record(app_state, user.audit_actor, "logout")
    response = redirect("/login")
    response.delete_cookie(SESSION_COOKIE)
    return response


def _record(app_state: AppState, actor: AuditActor, what: str) -> None:
    with app_state.sessions.begin() as session:
        record_access(session, actor, what, now=now())


def _too_many_attempts(request: Request, wait_seconds: float) -> HTTPException:
    """Return the refusal of a login whose token is not examined."""
    address = get_app_state(request).authenticator.address(request)
    log.warning("login_delayed", address=address, wait_seconds=round(wait_seconds))
    return HTTPException(
        HTTPStatus.TOO_MANY_REQUESTS,
        "There were too many wrong tokens from this address. Wait a minute.",
        {"Retry-After": str(round(wait_seconds) + 1)},
    )


def _login_page(
    request: Request, app_state: AppState, target: str, problem: str = ""
) -> Response:
    # The form's CSRF token is bound to a cookie, since there is no session yet.
    cookie = secrets.token_urlsafe(24)
    response = render(
        request,
        "login.html",
        status=HTTPStatus.UNAUTHORIZED if problem else HTTPStatus.OK,
        csrf=app_state.authenticator.csrf(f"login {cookie}"),
        next=_local_path(target),
        problem=problem,
        by_token=bool(app_state.settings.review_tokens),
    )
    _set_cookie(request, response, LOGIN_COOKIE, cookie)
    return response


def _set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    response.set_cookie(
        name,
        value,
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=get_app_state(request).authenticator.is_secure(request),
    )


def _local_path(target: str) -> str:
    """Return the page to show after login; the worklist if ``target`` is not a local path."""
    return target if LOCAL_PATH.fullmatch(target) and not target.startswith("//") else "/"
