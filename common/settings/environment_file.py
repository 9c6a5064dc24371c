"""Environment files of systemd: the settings of the services outside of their process."""

import re
from collections.abc import Mapping
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


def with_values(text: str, values: Mapping[str, str]) -> str:
    """Return the text of an environment file with other values; the rest stays as it is.

    The line of a variable is replaced, or its last line that is commented out; a new variable
    is appended. An empty value comments the line out.
    """
    lines = text.splitlines()
    for name, value in values.items():
        set_lines = [i for i, line in enumerate(lines) if _names(line, name)]
        commented = [i for i, line in enumerate(lines) if _names(line.lstrip("#; "), name)]
        new = f"{name}={_quoted(value)}" if value else f"#{name}="
        if places := set_lines or commented:
            lines[places[-1]] = new
        elif value:
            lines.append(new)
    return "\n".join(lines) + "\n"


def _names(line: str, name: str) -> bool:
    return line.partition("=")[0].strip() == name and "=" in line


def _quoted(value: str) -> str:
    if re.fullmatch(r"[\w./:,@+=-]*", value, re.ASCII):
        return value
    escaped = re.sub(r'(["\\$`])', r"\\\1", value)
    return f'"{escaped}"'


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == "'":
        return value[1:-1]
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r'\\(["\\$`])', r"\1", value[1:-1])
    return re.sub(r"\\(.)", r"\1", value)
