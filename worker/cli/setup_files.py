"""Files of a set-up below ``/etc/osteoscreen``: settings, secrets and their permissions."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.settings.environment_file import (
    SERVICE_SETTINGS,
    read_environment_file,
    with_values,
)
from db.provision import is_same_database, service_urls

SERVICES = ("storescp", "worker", "review")
SETTINGS_MODE, SECRETS_MODE, SECRET_MODE = 0o644, 0o700, 0o600


@dataclass(frozen=True, slots=True)
class SetupFiles:
    """Folder of the settings file and of ``secrets``."""

    config: Path

    @property
    def settings_path(self) -> Path:
        """The settings of all services."""
        return self.config / SERVICE_SETTINGS.name

    def settings(self) -> dict[str, str]:
        """Return the settings; empty if there is no file."""
        try:
            return read_environment_file(self.settings_path)
        except FileNotFoundError:
            return {}

    def write_settings(self, values: Mapping[str, str]) -> bool:
        """Set these variables in the settings file; return whether it changed."""
        before = self.settings_path.read_text() if self.settings_path.exists() else ""
        after = with_values(before, values)
        if after == before:
            return False
        _replace(self.settings_path, after, SETTINGS_MODE)
        return True

    def secret(self, name: str) -> str | None:
        """Return a secret without white space around it, None if there is none."""
        try:
            return (self.config / "secrets" / name).read_text().strip() or None
        except FileNotFoundError:
            return None

    def write_secret(self, name: str, value: str) -> bool:
        """Write a secret that only root can read; return whether it changed."""
        folder = self.config / "secrets"
        folder.mkdir(mode=SECRETS_MODE, exist_ok=True)
        folder.chmod(SECRETS_MODE)
        if self.secret(name) == value:
            (folder / name).chmod(SECRET_MODE)
            return False
        _replace(folder / name, value, SECRET_MODE)
        return True

    def write_first_secrets(self) -> list[str]:
        """Write the secrets that are missing and need no answer; return their names."""
        token = secrets.token_hex(24)
        first = {
            "destinations": "[]",
            "review_tokens": json.dumps(
                [{"name": "operator", "role": "operator", "token": token}]
            ),
        }
        missing = [name for name in first if self.secret(name) is None]
        for name in missing:
            self.write_secret(name, first[name])
        return missing

    def write_service_urls(self, owner_url: str) -> list[str]:
        """Write the database URL of each service; return the services with a new one.

        A URL of the same database is kept, with its user and password.
        """
        current = {service: self.secret(f"database_url_{service}") for service in SERVICES}
        outdated = {
            service: secrets.token_hex(24)
            for service, url in current.items()
            if url is None or not is_same_database(url, owner_url)
        }
        for service, url in service_urls(owner_url, outdated).items():
            self.write_secret(f"database_url_{service}", url)
        return list(outdated)

    def service_urls(self) -> list[str]:
        """Return the database URLs of the services."""
        return [self.secret(f"database_url_{service}") or "" for service in SERVICES]


def _replace(path: Path, text: str, mode: int) -> None:
    """Replace a file as a whole: a reader sees the old or the new one."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    new.replace(path)
