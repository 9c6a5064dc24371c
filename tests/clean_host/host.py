"""A clean Debian host in namespaces of its own, with a package and its next version."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fresh.clean_root import (
    BUNDLE,
    ENTER,
    NAMESPACES,
    PROGRAMS,
    CleanRoot,
)
from tests.support.servers import wait_for

RUNNER = Path(__file__).with_name("run_unit.py")
STEP_SECONDS, APT_SECONDS = 1800.0, 300.0
ENVIRONMENT = ("LANG=C.UTF-8", "HOME=/root", "DEBIAN_FRONTEND=noninteractive")


class Host:
    """A clean root whose processes live in one set of namespaces, until it is closed."""

    def __init__(self, root: CleanRoot, log: Path) -> None:
        self._log = log
        # A mount of its own, which a unit can make read-only.
        script = f'mount --bind "$1" "$1"\n{ENTER}'
        enter = ("sh", "-euc", script, "sh", str(root.folder), "0:0", "sleep", "infinity")
        self._keeper = subprocess.Popen([*NAMESPACES, *enter], start_new_session=True)
        self._first = wait_for(lambda: children(self._keeper.pid), "the namespaces")[0]
        wait_for(lambda: os.readlink(f"/proc/{self._first}/root") != "/", "the root")

    def command(self, *command: str) -> list[str]:
        """Return the command line of a command in this host, with a clean environment."""
        variables = (f"PATH={PROGRAMS}", f"SSL_CERT_FILE={BUNDLE}", *ENVIRONMENT)
        inside = ("env", "-i", *variables, *command)
        enter = ("nsenter", f"--target={self._first}", "--mount", "--pid", "--root", "--wd")
        return [*enter, *inside]

    def run(self, script: str) -> str:
        """Run a shell script as root; raises RuntimeError with its last lines."""
        done = subprocess.run(
            self.command("sh", "-euc", script),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=STEP_SECONDS,
        )  # fmt: skip
        with self._log.open("a") as log:
            log.write(f"$ {script}\n{done.stdout}{done.stderr}\n")
        if done.returncode:
            last = (done.stdout + done.stderr).strip().splitlines()[-8:]
            raise RuntimeError(f"exit code {done.returncode}: " + " / ".join(last))
        return done.stdout

    def start(self, unit: str, instance: str) -> subprocess.Popen[bytes]:
        """Start a unit by ``run_unit.py``."""
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self.command("python3", "/root/run_unit.py", unit, instance),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def close(self) -> None:
        """End every process of the host."""
        os.killpg(self._keeper.pid, signal.SIGKILL)
        self._keeper.wait()


@contextmanager
def clean_host(release: str, first: Path, following: Path, log: Path) -> Iterator[Host]:
    """Make a clean Debian, beside ``following``, with the two packages in it."""
    folder = following.parent / "root"
    root = CleanRoot.bootstrap(release, folder, log.with_suffix(".debootstrap"))
    root.join_network(log.with_suffix(".certificates"))
    # For run_unit.py: systemd need not depend on it.
    install = ("apt-get", "install", "-y", "-q", "libseccomp2")
    root.run(install, log=log.with_suffix(".apt"), title="libseccomp2", seconds=APT_SECONDS)
    # Without fsync of 43,000 files: the system is deleted at the end.
    root.path("/etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")
    shutil.copy(first, root.path("/root/first.deb"))
    following.rename(root.path("/root/next.deb"))
    shutil.copy(RUNNER, root.path("/root/run_unit.py"))
    host = Host(root, log)
    try:
        yield host
    finally:
        host.close()


def children(pid: int) -> list[int]:
    """Return the children of a process, by their numbers outside of namespaces."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
