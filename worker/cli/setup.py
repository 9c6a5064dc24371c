"""``osteoscreenctl setup``: the first run on a host, and every later change of its answers.

Everything is written once and kept: a set-up that was interrupted is repeated.
"""

import argparse
import os
import pwd
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from common.settings.files import PREFIX
from common.settings.worker import WorkerSettings
from db.provision import prepare_tables
from db.session import DatabaseError
from worker.cli.as_service import python_command, run, secret_values
from worker.cli.setup_answers import (
    Answers,
    SetupError,
    add_options,
    check_answers,
    read_answers,
)
from worker.cli.setup_broker import set_password
from worker.cli.setup_files import SetupFiles

LOCAL_DATABASE = "postgresql+psycopg2://osteoscreen:{}@localhost/osteoscreen"
LOCAL_BROKER = "redis://:{}@localhost:6379/0"
POSTGRES_USER = "postgres"
SPOOL_MODE = 0o750
NEXT = (
    "start the services, or restart them after a change:\n"
    "  systemctl enable --now osteoscreen-migrate osteoscreen-storescp osteoscreen-worker@1"
    " osteoscreen-review\n"
    "  systemctl restart 'osteoscreen-*'"
)


def setup(config: Path, account: pwd.struct_passwd, arguments: Sequence[str]) -> int:
    """Set this host up as the options or answers say; return the exit status of ``doctor``."""
    parser = argparse.ArgumentParser(
        prog="osteoscreenctl setup",
        description="Write settings and secrets, create the database, and run doctor. What is"
        " there is kept. Asks at a terminal for what no option says.",
    )
    add_options(parser)
    options = parser.parse_args(arguments)
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]  # the settings of the caller are not those of the services
    files = SetupFiles(config)
    try:
        answers = read_answers(options, files.settings(), input if sys.stdin.isatty() else None)
        check_answers(answers, files.settings())
        apply(files, answers, account)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    sys.stdout.flush()
    status = run(
        python_command(["doctor"]),
        account,
        files.settings(),
        secret_values(config / "secrets", "doctor"),
    )
    print(NEXT)
    return status


def apply(files: SetupFiles, answers: Answers, account: pwd.struct_passwd) -> None:
    """Write files, broker's password, database and spool, and say what is new.

    ``account`` : user of the services. Raises SetupError, OSError.
    """
    _write_files(files, answers)
    _set_up_broker(files, answers)
    _set_up_database(files, answers, account)
    _make_spool(files, account)


def _write_files(files: SetupFiles, answers: Answers) -> None:
    files.config.mkdir(mode=0o755, parents=True, exist_ok=True)
    spool = {f"{PREFIX}SPOOL_DIR": "/var/lib/osteoscreen/spool"}
    known = files.settings()
    missing = {name: value for name, value in spool.items() if not known.get(name)}
    if files.write_settings({**missing, **answers.settings}):
        print(f"written: {files.settings_path}")
    if answers.destinations is not None and files.write_secret(
        "destinations", answers.destinations
    ):
        print("written: secrets/destinations")
    for name in files.write_first_secrets():
        print(f"written: secrets/{name}")


def _set_up_broker(files: SetupFiles, answers: Answers) -> None:
    if answers.broker_url is not None:
        files.write_secret("broker_url", answers.broker_url)
        return
    # Written first: a password that Redis has and no file would be lost.
    url = files.secret("broker_url")
    if url is None:
        url = LOCAL_BROKER.format(secrets.token_hex(24))
        files.write_secret("broker_url", url)
    if url.startswith("redis://:") and "@localhost" in url and set_password(url):
        print("Redis of this host: password set")


def _set_up_database(files: SetupFiles, answers: Answers, account: pwd.struct_passwd) -> None:
    url = answers.database_url or files.secret("database_url")
    if url is None:
        url = LOCAL_DATABASE.format(secrets.token_hex(24))
        _create_local_database(url)
    files.write_secret("database_url", url)
    for service in files.write_service_urls(url):
        print(f"written: secrets/database_url_{service}")
    try:
        keeps_log_clean = prepare_tables(url, files.service_urls())
    except DatabaseError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise SetupError(
            f"database: {reason}; correct secrets/database_url, or name a file with its URL by"
            " --database-url-file, and run setup again"
        ) from None
    print("database: tables and users of the services are up to date")
    if not keeps_log_clean:
        print("PostgreSQL may log patient data: see docs/deployment.md, Database roles")


def _create_local_database(url: str) -> None:
    """Create the database as the superuser of the local PostgreSQL."""
    try:
        superuser = pwd.getpwnam(POSTGRES_USER)
    except KeyError:
        raise SetupError(
            "no PostgreSQL on this host: install it, or name a file with the URL of the tables'"
            " owner by --database-url-file"
        ) from None
    command = python_command(["db", "create"])
    if run(command, superuser, {}, {"DATABASE_URL": url.encode()}):
        raise SetupError("the local PostgreSQL did not create the database; is it started?")


def _make_spool(files: SetupFiles, account: pwd.struct_passwd) -> None:
    """Create the spool with the user of the services as its owner."""
    given = files.settings().get(f"{PREFIX}SPOOL_DIR")
    spool = Path(given) if given else WorkerSettings.model_fields["spool_dir"].default
    if spool.exists():
        return
    spool.mkdir(mode=SPOOL_MODE, parents=True)
    os.chown(spool, account.pw_uid, account.pw_gid)
    spool.chmod(SPOOL_MODE)
