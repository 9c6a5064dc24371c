"""Checks of how ``doctor`` itself runs: its settings, its user, and the owners of files."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_settings import DotEnvSettingsSource

from common.settings.base import SECRET
from common.settings.environment_file import SERVICE_SETTINGS, read_environment_file
from common.settings.files import FILE_SUFFIX, PREFIX
from common.settings.names import NAMES
from common.settings.worker import WorkerSettings
from common.spool.ownership import foreign_entries, service_user, user_name
from worker.diagnostics.diagnostic import Diagnostic

AS_SERVICE = "run `osteoscreenctl doctor` as root"


def check_settings(
    settings: WorkerSettings, service_file: Path = SERVICE_SETTINGS
) -> Diagnostic:
    """Report the settings in force; they must be those of the services on this host."""
    dot_env = DotEnvSettingsSource(WorkerSettings).env_vars
    given = {name.upper(): value for name, value in {**dot_env, **os.environ}.items() if value}
    detail = _in_force(settings, given)
    differing = _differing(given, service_file)
    if not differing:
        return Diagnostic("settings", True, detail)
    problem = f"not the settings of {service_file}: {', '.join(differing)} differ"
    return Diagnostic("settings", False, f"{problem}; {detail}", AS_SERVICE)


def _in_force(settings: WorkerSettings, given: Mapping[str, str]) -> str:
    """Return the settings that are given, with the values of those that are no secret."""
    names = sorted(
        name for name in NAMES if PREFIX + name in given or PREFIX + name + FILE_SUFFIX in given
    )
    if not names:
        return "none is set: all defaults"
    return ", ".join(_shown(settings, name) for name in names) + "; defaults otherwise"


def _shown(settings: WorkerSettings, name: str) -> str:
    """Return name and value; the name alone of a secret, or of another service's setting."""
    field = WorkerSettings.model_fields.get(name.lower())
    if field is None or field.json_schema_extra == SECRET:
        return name
    return f"{name}={_text(getattr(settings, name.lower()))}"


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join("…" if isinstance(one, BaseModel) else str(one) for one in value)
    return "none" if value is None else str(value)


def _differing(given: Mapping[str, str], service_file: Path) -> list[str]:
    try:
        expected = read_environment_file(service_file)
    except OSError:  # not a systemd host, or not readable for this user
        return []
    return sorted(
        name.removeprefix(PREFIX)
        for name, value in expected.items()
        if name.startswith(PREFIX) and value and given.get(name) != value
    )


def check_user(spool_dir: Path) -> Diagnostic:
    """Check that this is the user of the services: another one sees other permissions."""
    me = user_name(os.geteuid())
    try:
        expected = service_user(spool_dir)
    except OSError as error:
        return Diagnostic("user", True, f"{me}; the spool is missing ({error.strerror})")
    if expected is None:
        return Diagnostic("user", True, me)
    detail = f"{me}, but the spool {spool_dir} belongs to {expected}: the results below are"
    remedy = f"{AS_SERVICE}, or `sudo -u {expected} …` with the settings of the services"
    return Diagnostic(
        "user", False, f"{detail} those of another user than the services", remedy
    )


def check_owners(spool_dir: Path) -> Diagnostic:
    """Check that what is in the spool belongs to its owner."""
    try:
        foreign, examined = foreign_entries(spool_dir)
        owner = user_name(spool_dir.stat().st_uid)
    except OSError as error:
        return Diagnostic("owners", True, f"not examined: {spool_dir}: {error.strerror}")
    if not foreign:
        return Diagnostic("owners", True, f"{examined} entries of the spool, all of {owner}")
    path, uid = foreign[0]
    return Diagnostic(
        "owners",
        False,
        f"{len(foreign)} of {examined} entries of the spool do not belong to {owner}, such as"
        f" {path} of {user_name(uid)}: the services may be unable to read them",
        f"run as root: chown -R --reference={spool_dir} {spool_dir}",
    )
