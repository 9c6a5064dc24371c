"""The names of all settings of all rooms: one ``.env`` serves them all, and no room may import
another to know which of its names are misspelt. A test compares this with the classes.
"""

import difflib
from collections.abc import Iterable

PREFIX = "OSTEOSCREEN_"
FILE_SUFFIX = "_FILE"
"""``OSTEOSCREEN_DATABASE_URL_FILE`` names a file that holds the value."""

NAMES = frozenset(
    [
        "DATABASE_URL",
        "BROKER_URL",
        "SPOOL_DIR",
        "LOG_FORMAT",
        "METRICS_PORT",
        "TLS_CA",
        "TLS_CERT",
        "TLS_KEY",
        "AE_TITLE",
        "HOST",
        "PORT",
        "ALLOWED_CALLING_AETS",
        "ALLOWED_PEERS",
        "RECEIVERS",
        "MAX_ASSOCIATIONS",
        "MAX_ASSOCIATIONS_PER_PEER",
        "IDLE_SECONDS",
        "STALL_SECONDS",
        "MIN_KB_PER_SECOND",
        "MAX_INSTANCE_MB",
        "MIN_FREE_MB",
        "TLS_CLIENT_CERTIFICATE",
        "COMMITMENT_PEERS",
        "QUIET_SECONDS",
        "SOURCE_PACS",
        "STOW_HOST",
        "STOW_TOKEN",
        "STOW_PORT",
        "STOW_MAX_REQUEST_MB",
        "MODEL_DIR",
        "SHADOW_MODEL_DIR",
        "DESTINATIONS",
        "SR_SOP_CLASS",
        "PARAMETRIC_MAP",
        "RETENTION_DAYS",
        "LEASE_SECONDS",
        "LIMIT_SECONDS",
        "SWEEP_SECONDS",
        "MAX_ATTEMPTS",
        "REVIEW_HOST",
        "REVIEW_PORT",
        "REVIEW_TOKENS",
        "REVIEW_TRUSTED_PROXIES",
        "REVIEW_USER_HEADER",
        "REVIEW_ROLE_HEADER",
    ]
)


def misspelt(names: Iterable[str]) -> list[tuple[str, str | None]]:
    """Names with our prefix that are no setting, each with the one that may be meant."""
    ours = {name.upper().removeprefix(PREFIX) for name in names if _is_ours(name)}
    unknown = sorted(
        name for name in ours if not {name, name.removesuffix(FILE_SUFFIX)} & NAMES
    )
    return [(PREFIX + name, _meant(name)) for name in unknown]


def _is_ours(name: str) -> bool:
    return name.upper().startswith(PREFIX)


def _meant(name: str) -> str | None:
    close = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.8)
    return PREFIX + close[0] if close else None
