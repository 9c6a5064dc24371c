"""Settings from files: ``OSTEOSCREEN_DATABASE_URL_FILE=/run/secrets/database_url``."""

import os
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource, SettingsError

PREFIX = "OSTEOSCREEN_"
FILE_SUFFIX = "_FILE"
"""``OSTEOSCREEN_DATABASE_URL_FILE`` names a file that contains the value."""


class UnreadableFile(SettingsError):
    """The file of a setting cannot be read; the text is the line for the operator."""


class FileSource(PydanticBaseSettingsSource):
    """Settings source that reads each setting whose name with ``_FILE`` is in the environment.

    It keeps passwords out of the environment, which child processes inherit and crash reports
    show. White space around the value is removed.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return value, field name, and False: the value is not JSON by itself."""
        name = PREFIX + field_name.upper() + FILE_SUFFIX
        path = os.environ.get(name)
        if not path:
            return None, field_name, False
        try:
            return Path(path).read_text().strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            problem = getattr(error, "strerror", None) or type(error).__name__
            raise UnreadableFile(f"{name}: {problem} (got {path!r})") from None

    def __call__(self) -> dict[str, Any]:
        """Return all values that are read from files."""
        values = {}
        for name, field in self.settings_cls.model_fields.items():
            value, _, is_complex = self.get_field_value(field, name)
            if value is not None:
                values[name] = self.prepare_field_value(name, field, value, is_complex)
        return values
