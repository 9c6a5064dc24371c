"""Load the settings of a service; a wrong value stops the process with one line."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsError

from common.settings.base import SECRET
from common.settings.files import PREFIX, UnreadableFile
from common.settings.names import unknown_settings
from common.times import set_time_zone

S = TypeVar("S", bound=BaseSettings)


def load_settings(cls: type[S]) -> S:
    """Return the settings of one service, or exit 2 with one line for each wrong setting."""
    try:
        settings = cls()
        names = [*os.environ, *DotEnvSettingsSource(cls).env_vars]
    except ValidationError as error:
        lines = [_error_line(cls, problem) for problem in error.errors(include_url=False)]
    except UnreadableFile as error:
        lines = [str(error)]
    except SettingsError as error:  # a list or table that is not valid JSON
        lines = [f"{PREFIX}…: {error}"]
    except (OSError, UnicodeDecodeError) as error:
        lines = [f".env cannot be read ({type(error).__name__})"]
    else:
        if not (lines := _misspelt_lines(names)):
            set_time_zone(getattr(settings, "time_zone", None))
            return settings
    print("\n".join(lines), file=sys.stderr)
    raise SystemExit(2)


def wrong_values(cls: type[BaseSettings], values: Mapping[str, str]) -> list[str]:
    """Return one line for each wrong one of these values of a service.

    ``values`` : by field; the settings of this process may not contain others.
    """
    try:
        cls(**dict[str, Any](values, _env_file=None))
    except ValidationError as error:
        return [_error_line(cls, problem) for problem in error.errors(include_url=False)]
    except ValueError as error:  # a list or table that is not valid JSON
        return [f"{PREFIX}…: {error}"]
    return []


@contextmanager
def exit_on_oserror(setting: str, value: object) -> Iterator[None]:
    """Exit 2 with one line that names the setting if the block raises an OSError."""
    try:
        yield
    except OSError as error:
        problem = error.strerror or type(error).__name__
        got = str(error.filename or value)  # one of several files
        print(f"{PREFIX}{setting}: {problem} (got {got!r})", file=sys.stderr)
        raise SystemExit(2) from None


def _misspelt_lines(names: Iterable[str]) -> list[str]:
    """Return one line for each name that resembles a setting.

    A misspelt allow-list would otherwise be ignored. A name that resembles no setting may
    belong to another program and is only reported.
    """
    unknown = unknown_settings(names)
    for name, similar in unknown:
        if similar is None:
            print(f"{name}: unknown setting, ignored", file=sys.stderr)
    return [
        f"{name}: unknown setting; did you mean {similar}?"
        for name, similar in unknown
        if similar
    ]


def _error_line(cls: type[BaseSettings], problem: Any) -> str:
    """Return setting, problem and, unless it may hold a secret, the value."""
    name, *within = (str(part) for part in problem["loc"]) if problem["loc"] else ("",)
    line = f"{PREFIX}{'.'.join((name.upper(), *within))}: {problem['msg']}"
    field = cls.model_fields.get(name)
    if within or field is None or field.json_schema_extra == SECRET:
        return line
    return f"{line} (got {problem['input']!r})"
