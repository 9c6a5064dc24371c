"""Log in with a token, log out, and the health of the page: all that strangers may see."""

import re
import secrets
from http import HTTPStatus

from fastapi import APIRouter, HTTPException, Request, Response
from sqlalchemy import text
from starlette.responses import JSONResponse

from db.access_log import record_access
from db.telemetry import get_logger
from worker.review.desk import AtDesk, Desk, Form, Visiting, now, render, see, text_of
from worker.review.doorkeeper import (
    LOGIN_COOKIE,
    SESSION_COOKIE,
    SESSION_SECONDS,
    same_token,
)

router = APIRouter()
log = get_logger(__name__)
OUR_PATH = re.compile(r"/[a-z0-9/-]*")


@router.get("/health")
def health(desk: AtDesk) -> Response:
    """For a load balancer: does the database answer?"""
    with desk.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    return JSONResponse({"status": "ok"})


@router.get("/login")
def show_login(request: Request, desk: AtDesk, next: str = "/") -> Response:
    """The form; its token belongs to a cookie that only this browser has."""
    if request.state.visitor is not None:
        return see(_ours(next))
    return _login_page(request, desk, next)


@router.post("/login")
async def log_in(request: Request, desk: AtDesk) -> Response:
    """Open a session for a known token."""
    form = await request.form(max_files=0, max_fields=5)
    cookie = request.cookies.get(LOGIN_COOKIE, "")
    wanted = desk.doorkeeper.csrf(f"login {cookie}")
    if not cookie or not same_token(text_of(form, "csrf"), wanted):
        raise HTTPException(HTTPStatus.FORBIDDEN, "Open the login page again and log in there.")
    session_id = desk.doorkeeper.open_session(text_of(form, "token", longest=1000))
    target = text_of(form, "next")
    if session_id is None:
        log.warning("login_refused", address=desk.doorkeeper.address(request))
        return _login_page(request, desk, target, problem="This token is not known.")
    response = see(_ours(target))
    _set_cookie(request, response, desk, SESSION_COOKIE, session_id)
    response.delete_cookie(LOGIN_COOKIE)
    return response


@router.post("/logout")
def log_out(request: Request, desk: AtDesk, visitor: Visiting, form: Form) -> Response:
    """End the session."""
    desk.doorkeeper.close_session(request)
    with desk.sessions.begin() as session:
        record_access(session, visitor.looker, "logout", now=now())
    response = see("/login")
    response.delete_cookie(SESSION_COOKIE)
    return response


def _login_page(request: Request, desk: Desk, target: str, problem: str = "") -> Response:
    cookie = secrets.token_urlsafe(24)
    response = render(
        request,
        "login.html",
        status=HTTPStatus.UNAUTHORIZED if problem else HTTPStatus.OK,
        csrf=desk.doorkeeper.csrf(f"login {cookie}"),
        next=_ours(target),
        problem=problem,
        by_token=bool(desk.settings.review_tokens),
    )
    _set_cookie(request, response, desk, LOGIN_COOKIE, cookie)
    return response


def _set_cookie(
    request: Request, response: Response, desk: Desk, name: str, value: str
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=desk.doorkeeper.is_secure(request),
    )


def _ours(target: str) -> str:
    """The page to show after logging in: one of ours, or the worklist."""
    return target if OUR_PATH.fullmatch(target) and not target.startswith("//") else "/"
