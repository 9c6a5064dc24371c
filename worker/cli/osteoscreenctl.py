"""The program ``osteoscreenctl``: operator commands as the services run, on a systemd host.

It starts ``python -m worker …`` or ``python -m db …`` as the user of the services, with the
settings of ``/etc/osteoscreen/osteoscreen.env`` and the secrets of its folder ``secrets``, as
systemd starts the units. The settings of the caller are not used.
"""

import argparse
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.settings.environment_file import SERVICE_SETTINGS, read_environment_file
from common.settings.files import FILE_SUFFIX, PREFIX
from worker.cli.shell import stop

RUNTIME_DIR = Path("/run")
OWNER_COMMANDS = frozenset({"db", "backup", "restore"})
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


def main() -> None:
    """Run an operator command as the user of the services, and exit with its status."""
    options = _parser().parse_args()
    arguments = options.command or ["--help"]
    if os.geteuid() != 0:
        stop(f"run it as root: only root may read {options.config}/secrets", code=2)
    try:
        account = pwd.getpwnam(options.user)
        settings = read_environment_file(options.config / SERVICE_SETTINGS.name)
    except KeyError:
        stop(f"no user {options.user} on this host: run systemd-sysusers first", code=2)
    except OSError as error:
        stop(f"{error.filename}: {error.strerror}; see docs/deployment.md, systemd", code=2)
    raise SystemExit(
        run(
            _command(arguments),
            account,
            settings,
            secrets(options.config / "secrets", arguments[0]),
        )
    )


def secrets(folder: Path, command: str) -> dict[str, bytes]:
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
    secret_values: Mapping[str, bytes],
) -> int:
    """Run a command as a user and return its exit status.

    The secrets are files that only this user can read, in memory (``/run``), until the end.
    """
    runtime = RUNTIME_DIR if os.access(RUNTIME_DIR, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="osteoscreenctl-", dir=runtime) as folder:
        environment = {**_base_environment(account), **settings}
        for setting, value in secret_values.items():
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


def _command(arguments: Sequence[str]) -> list[str]:
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
        "LOGNAME": os.environ.get("SUDO_USER") or "root",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="osteoscreenctl",
        description="Run a command of `python -m worker`, or `db upgrade` and other commands of"
        " `python -m db`, as the services run: their user, settings and secrets.",
    )
    parser.add_argument("--config", type=Path, default=SERVICE_SETTINGS.parent, metavar="DIR")
    parser.add_argument("--user", default="osteoscreen", help="user of the services")
    parser.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        help="such as: doctor, status, show UID, promote DIR, db upgrade",
    )
    return parser


if __name__ == "__main__":
    main()
