"""Logged-in users and their roles."""

from collections.abc import Iterable
from dataclasses import dataclass

from common.settings.review import Role
from db.access_log import AuditActor


def highest_role(names: Iterable[str]) -> Role:
    """Return the highest of the named roles; ``Role.VIEWER`` if none is a role."""
    normalized = {name.strip().lower() for name in names}
    roles = [role for role in Role if role in normalized]
    return max(roles, key=tuple(Role).index, default=Role.VIEWER)


@dataclass(frozen=True, slots=True)
class User:
    """A logged-in user.

    Attributes
    ----------
    name, role
        From the token or from the headers of a trusted proxy.
    address
        IP address of the browser.
    csrf
        Token that the user's forms must carry.
    """

    name: str
    role: Role
    address: str
    csrf: str

    @property
    def audit_actor(self) -> AuditActor:
        """The user as recorded in the access log."""
        return AuditActor(self.name, self.role.value, self.address)

    @property
    def event_actor(self) -> str:
        """The user as named in the events of a series."""
        return f"{self.role} {self.name}"
