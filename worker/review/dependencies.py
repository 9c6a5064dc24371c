"""FastAPI dependencies: the current user, the role that a route requires, verified forms."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from starlette.datastructures import FormData

from common.settings.review import Role
from worker.review.authentication import is_same_token
from worker.review.users import User


def get_user(request: Request) -> User:
    """Return the user whom the authentication middleware identified."""
    user: User | None = request.state.user
    if user is None:
        raise HTTPException(HTTPStatus.UNAUTHORIZED)
    return user


def require_role(role: Role) -> Callable[[Request], User]:
    """Return a dependency that answers 403 unless the user's role allows ``role``."""

    def check(request: Request) -> User:
        user = get_user(request)
        if not user.role.allows(role):
            raise HTTPException(
                HTTPStatus.FORBIDDEN,
                f"This needs the role {role}; you are logged in as {user.role}.",
            )
        return user

    return check


async def verify_form(request: Request) -> FormData:
    """Return the posted form; answer 403 unless its CSRF token is the user's."""
    user = get_user(request)
    form = await request.form(max_files=1, max_fields=50)
    token = form.get("csrf")
    if not isinstance(token, str) or not is_same_token(token, user.csrf):
        raise HTTPException(
            HTTPStatus.FORBIDDEN, "This form is out of date. Go back, reload and try again."
        )
    return form


def form_text(form: FormData, name: str, *, max_length: int = 200) -> str:
    """Return a form field without surrounding white space; answer 422 if it is too long."""
    value = form.get(name, "")
    text = value.strip() if isinstance(value, str) else ""
    if "\x00" in text:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"{name}: contains a NUL character.")
    if len(text) > max_length:
        raise HTTPException(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"{name}: at most {max_length} characters."
        )
    return text


CurrentUser = Annotated[User, Depends(get_user)]
CurrentReader = Annotated[User, Depends(require_role(Role.READER))]
CurrentOperator = Annotated[User, Depends(require_role(Role.OPERATOR))]
VerifiedForm = Annotated[FormData, Depends(verify_form)]
