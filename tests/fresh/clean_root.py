"""A clean Debian system in a folder, and commands that run in it.

Commands run by chroot in mount and process namespaces of their own: what they mount or start
ends with them. The network is that of the host.
"""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

# What a machine has on which the README is read: Python, make, git, and certificates.
PACKAGES = ("ca-certificates", "git", "make", "python3")
PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOCAL_CERTIFICATES = Path("usr/local/share/ca-certificates")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
PROGRESS_SECONDS = 30.0
BOOTSTRAP_SECONDS = 900.0
REMOVAL_ATTEMPTS = 10
NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
# $1: the root; $2: user:group; then the command.
ENTER = """
root=$1 user=$2; shift 2
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
mount -t tmpfs -o mode=0755 run "$root/run"
exec chroot --userspec="$user" --groups= "$root" "$@"
"""


@dataclass(frozen=True, slots=True)
class User:
    """An account in the clean system."""

    name: str
    number: int
    home: str


ROOT_USER = User("root", 0, "/root")


@dataclass(frozen=True, slots=True)
class Result:
    """A command that ended. ``received``: bytes that the host's network interfaces got."""

    code: int
    seconds: float
    received: int
    output: str


class CleanRoot:
    """A Debian system in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def bootstrap(cls, release: str, folder: Path, log: Path) -> Self:
        """Fetch a minimal ``release`` (RuntimeError if that fails)."""
        folder.mkdir(parents=True)
        include = f"--include={','.join(PACKAGES)}"
        command = ("debootstrap", "--variant=minbase", include, release, str(folder))
        done = run((*NAMESPACES, *command), log, f"{release}: debootstrap", BOOTSTRAP_SECONDS)
        if done.code:
            raise RuntimeError(f"debootstrap of {release} failed; its output is in {log}")
        return cls(folder)

    def copy(self, folder: Path) -> "CleanRoot":
        """The same system once more, as long as nothing runs in it."""
        subprocess.run(
            ["cp", "--archive", "--reflink=auto", self.folder, folder], check=True, timeout=600
        )
        return CleanRoot(folder)

    def join_network(self, log: Path) -> None:
        """Give it the host's name servers and local certificate authorities, nothing else."""
        for name in ("resolv.conf", "hosts"):
            shutil.copyfile(f"/etc/{name}", self.folder / "etc" / name)
        for certificate in (Path("/") / LOCAL_CERTIFICATES).glob("*.crt"):
            shutil.copy(certificate, self.folder / LOCAL_CERTIFICATES)
        self.run(("update-ca-certificates",), log=log, title="certificates", seconds=120)

    def add_user(self, name: str, log: Path) -> User:
        """An ordinary user with an empty home folder and no right to become root."""
        user = User(name, 1000, f"/home/{name}")
        command = ("useradd", "--create-home", "--uid", str(user.number), name)
        self.run(command, log=log, title="useradd", seconds=60)
        return user

    def path(self, inside: str) -> Path:
        """Where the host finds a path of the clean system."""
        return self.folder / inside.lstrip("/")

    def run(
        self,
        command: Sequence[str],
        *,
        log: Path,
        title: str,
        seconds: float,
        user: User = ROOT_USER,
        environment: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a command with this environment alone; killed after ``seconds``."""
        # uv and Python's ssl trust the system's authorities by this variable.
        variables = {"PATH": PROGRAMS, "SSL_CERT_FILE": BUNDLE, **(environment or {})}
        enter = ("sh", "-euc", ENTER, "sh", str(self.folder), f"{user.number}:{user.number}")
        clean = ("env", "-i", *(f"{name}={value}" for name, value in variables.items()))
        return run((*NAMESPACES, *enter, *clean, *command), log, title, seconds)


def run(command: Sequence[str], log: Path, title: str, seconds: float) -> Result:
    """Run with the output in ``log`` and a line of progress every half minute.

    A command that reaches its deadline is killed with all that it started: code -9.
    """
    print(f"{title} …", flush=True)
    started, before = time.monotonic(), received_bytes()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = threading.Timer(seconds, process.kill)
    deadline.start()
    try:
        while True:
            try:
                code = process.wait(PROGRESS_SECONDS)
                break
            except subprocess.TimeoutExpired:
                passed = time.monotonic() - started
                print(f"  {title}: {passed:.0f} s, {_last_line(log)}", flush=True)
    finally:
        deadline.cancel()
        process.kill()
        process.wait()
    passed = time.monotonic() - started
    print(f"  {title}: exit code {code} after {passed:.0f} s", flush=True)
    return Result(code, passed, received_bytes() - before, log.read_text(errors="replace"))


def received_bytes(table: str | None = None) -> int:
    """Bytes that all interfaces but loopback received, of /proc/net/dev (proc(5))."""
    text = Path("/proc/net/dev").read_text() if table is None else table
    rows = (line.split(":", 1) for line in text.splitlines()[2:])
    return sum(int(values.split()[0]) for name, values in rows if name.strip() != "lo")


def remove(folder: Path) -> None:
    """Delete a folder of clean systems, unless something is still mounted below it."""
    mounted = [
        line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()
    ]
    below = [path for path in mounted if path.startswith(f"{folder}/")]
    if below:
        raise RuntimeError(f"{folder} is not deleted: {below[0]} is mounted in it")
    for _ in range(REMOVAL_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(1)  # processes that were killed are still ending
    raise RuntimeError(f"{folder} cannot be deleted")


def why_not() -> str | None:
    """The reason why no clean system can be made here, None if one can."""
    if os.geteuid() != 0:
        return "debootstrap and chroot need root"
    for program in ("debootstrap", "unshare", "chroot"):
        if shutil.which(program) is None:
            return f"{program} is not installed (apt-get install debootstrap util-linux)"
    return None


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][-100:] if lines else "no output yet"
