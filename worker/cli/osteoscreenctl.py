"""The program ``osteoscreenctl``: operator commands as the services run, on a systemd host.

It starts ``python -m worker …`` or ``python -m db …`` as the user of the services, with the
settings of ``/etc/osteoscreen/osteoscreen.env`` and the secrets of its folder ``secrets``, as
systemd starts the units. The settings of the caller are not used.
"""

import argparse
import os
import pwd
from pathlib import Path

from common.settings.environment_file import SERVICE_SETTINGS, read_environment_file
from worker.cli.as_service import python_command, run, secret_values
from worker.cli.shell import stop


def main() -> None:
    """Run an operator command as the user of the services, and exit with its status."""
    options = _parser().parse_args()
    arguments = options.command or ["--help"]
    if os.geteuid() != 0:
        stop(f"run it as root: only root may read {options.config}/secrets", code=2)
    try:
        account = pwd.getpwnam(options.user)
        if arguments[0] == "setup":
            from worker.cli.setup import setup  # SQLAlchemy

            raise SystemExit(setup(options.config, account, arguments[1:]))
        settings = read_environment_file(options.config / SERVICE_SETTINGS.name)
    except KeyError:
        stop(f"no user {options.user} on this host: run systemd-sysusers first", code=2)
    except OSError as error:
        stop(f"{error.filename}: {error.strerror}; see docs/deployment.md, systemd", code=2)
    raise SystemExit(
        run(
            python_command(arguments),
            account,
            settings,
            secret_values(options.config / "secrets", arguments[0]),
        )
    )


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
        help="such as: setup, doctor, status, show UID, promote DIR, db upgrade",
    )
    return parser


if __name__ == "__main__":
    main()
