"""Names of the settings of all services, computed from their classes.

One ``.env`` serves all services. Each service therefore has to know the names of the others to
tell a misspelt setting from a setting of another service.
"""

import difflib
from collections.abc import Iterable

from common.settings.files import FILE_SUFFIX, PREFIX
from common.settings.review import ReviewSettings
from common.settings.storescp import StoreScpSettings
from common.settings.worker import WorkerSettings

SERVICES = (StoreScpSettings, WorkerSettings, ReviewSettings)
NAMES = frozenset(name.upper() for service in SERVICES for name in service.model_fields)
"""Without the prefix."""


def unknown_settings(names: Iterable[str]) -> list[tuple[str, str | None]]:
    """Return the names with our prefix that are no setting, each with the most similar one.

    The second item is None when no setting has a similar name.
    """
    ours = {name.upper().removeprefix(PREFIX) for name in names if _has_prefix(name)}
    unknown = sorted(
        name for name in ours if not {name, name.removesuffix(FILE_SUFFIX)} & NAMES
    )
    return [(PREFIX + name, _most_similar(name)) for name in unknown]


def _has_prefix(name: str) -> bool:
    return name.upper().startswith(PREFIX)


def _most_similar(name: str) -> str | None:
    close = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.8)
    return PREFIX + close[0] if close else None
