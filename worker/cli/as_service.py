"""Run a command as the services run: with their user, settings and secrets."""

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.settings.files import FILE_SUFFIX, PREFIX

RUNTIME_DIR = Path("/run")
OWNER_COMMANDS = frozenset({"db", "backup", "restore", "erase"})
WORKER_SECRETS = {
    "DATABASE_URL": "database_url_worker",
    "BROKER_URL": "broker_url",
    "DESTINATIONS": "destinations",
    "TLS_KEY": "tls_key",
}
OWNER_SECRETS = {"DATABASE_URL": "database_url"}
"""File below ``secrets`` by setting; commands that need all tables use the owner's."""
PATHS = frozenset({"TLS_KEY"})
"""Settings that are the path of a file, not a value that is read from one."""


def secret_values(folder: Path, command: str) -> dict[str, bytes]:
    """Return the secrets of a command by setting; a file that is missing is left out."""
    names = OWNER_SECRETS if command in OWNER_COMMANDS else WORKER_SECRETS
    return {
        setting: (folder / name).read_bytes()
        for setting, name in names.items()
        if (folder / name).exists()
    }


def run(
    command: Sequence[str],
    account: pwd.struct_passwd,
    settings: Mapping[str, str],
    secrets: Mapping[str, bytes],
) -> int:
    """Run a command as a user and return its exit status.

    The secrets are files that only this user can read, in memory (``/run``), until the end.
    """
    runtime = RUNTIME_DIR if os.access(RUNTIME_DIR, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="osteoscreenctl-", dir=runtime) as folder:
        environment = {**_base_environment(account), **settings}
        for setting, value in secrets.items():
            path = Path(folder, setting.lower())
            path.touch(mode=0o400)
            path.write_bytes(value)
            os.chown(path, account.pw_uid, account.pw_gid)
            suffix = "" if setting in PATHS else FILE_SUFFIX
            environment[f"{PREFIX}{setting}{suffix}"] = str(path)
        os.chown(folder, account.pw_uid, account.pw_gid)
        try:
            done = subprocess.run(  # noqa: S603 - the operator's own command
                command,
                env=environment,
                cwd=account.pw_dir if Path(account.pw_dir).is_dir() else "/",
                user=account.pw_uid,
                group=account.pw_gid,
                extra_groups=os.getgrouplist(account.pw_name, account.pw_gid),
                umask=0o027,
            )
        except KeyboardInterrupt:  # the command has had it, too
            return 130
    return done.returncode


def python_command(arguments: Sequence[str]) -> list[str]:
    """Return the Python command; a path that begins with a dot is made absolute."""
    package, rest = ("db", arguments[1:]) if arguments[0] == "db" else ("worker", arguments)
    absolute = [os.path.abspath(one) if one.startswith(("./", "../")) else one for one in rest]
    # -P: no code from the working directory.
    return [sys.executable, "-P", "-m", package, *absolute]


def _base_environment(account: pwd.struct_passwd) -> dict[str, str]:
    """Return an environment without settings; LOGNAME is the person, for the record."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TERM") if name in os.environ}
    return {
        **kept,
        "HOME": account.pw_dir,
        "TF_CPP_MIN_LOG_LEVEL": "3",  # TensorFlow's remarks about the processor
        "LOGNAME": os.environ.get("SUDO_USER") or "root",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
