"""Environment files of systemd: the settings of the services outside of their process."""

import re
from pathlib import Path

SERVICE_SETTINGS = Path("/etc/osteoscreen/osteoscreen.env")
"""``EnvironmentFile`` of the units in ``deploy/systemd``."""


def read_environment_file(path: Path) -> dict[str, str]:
    """Return the variables of a file in the form of systemd.exec(5); raises OSError.

    Comments begin with ``#`` or ``;``. A value may be quoted as a whole; nothing is expanded.
    """
    text = path.read_text().replace("\\\n", "")
    pairs = (line.strip().partition("=") for line in text.splitlines())
    return {
        name.strip(): _unquoted(value.strip())
        for name, equals, value in pairs
        if equals and not name.startswith(("#", ";"))
    }


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == "'":
        return value[1:-1]
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r'\\(["\\$`])', r"\1", value[1:-1])
    return re.sub(r"\\(.)", r"\1", value)
