"""What somebody who logged in may do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from db.access_log import Looker


class Role(StrEnum):
    """From the least to the most that is allowed."""

    VIEWER = "viewer"
    """May look."""
    READER = "reader"
    """May also give feedback and enter DXA results."""
    OPERATOR = "operator"
    """May also retry, send again, pause destinations and export labels."""

    def allows(self, wanted: "Role") -> bool:
        """Whether this role may do what ``wanted`` may."""
        order = tuple(Role)
        return order.index(self) >= order.index(wanted)


def highest(names: Iterable[str]) -> Role:
    """The most of the roles that are named; who has none may look."""
    found = [role for role in Role if role in {name.strip().lower() for name in names}]
    return max(found, key=tuple(Role).index, default=Role.VIEWER)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who logged in. ``csrf`` : the token that his forms must carry."""

    name: str
    role: Role
    address: str
    csrf: str

    @property
    def looker(self) -> Looker:
        """The same for the record."""
        return Looker(self.name, self.role.value, self.address)

    @property
    def actor(self) -> str:
        """As events name him."""
        return f"{self.role} {self.name}"
