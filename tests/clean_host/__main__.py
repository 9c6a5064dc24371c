"""``python -m tests.clean_host PACKAGE.deb``: a host from installation to removal.

As root. Makes a clean Debian 12 by debootstrap, and does there what docs/deployment.md says:
package with PostgreSQL and Redis of Debian, ``setup``, the units (started by ``run_unit.py``,
as systemd cannot run in a chroot), a study through to a PACS, the next version, ``backup``,
removal, everything lost, ``restore``, purge. Prints a table in Markdown; exit code 1 if a step
failed. Uses the ports of an installation (5432, 6379, 8043, 9464, 9471, 11112) on
this machine.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.fresh.clean_root import (
    BUNDLE,
    ENTER,
    NAMESPACES,
    PROGRAMS,
    CleanRoot,
    remove,
    why_not,
)
from tests.support.quick_series import QuickSeries, make_quick_series
from tests.support.servers import Orthanc, listens, running_orthanc, storescu, wait_for

RUNNER = Path(__file__).with_name("run_unit.py")
PORTS = (5432, 6379, 11112, 9464, 9471, 8043)
STEP_SECONDS, SERIES_SECONDS = 1800.0, 600.0
UNITS = (
    ("osteoscreen-storescp.service", ""),
    ("osteoscreen-worker@.service", "1"),
    ("osteoscreen-review.service", ""),
)
READY = (
    "http://127.0.0.1:9464/health/ready",
    "http://127.0.0.1:9471/health/ready",
    "http://127.0.0.1:8043/health",
)
ENVIRONMENT = ("LANG=C.UTF-8", "HOME=/root", "DEBIAN_FRONTEND=noninteractive")
EMPTY_DATABASE = (
    "runuser -u postgres -- dropdb --force osteoscreen;"
    " runuser -u postgres -- createdb --owner=osteoscreen osteoscreen"
)


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


@dataclass
class Trial:
    """The host, its PACS and what was sent."""

    host: Host
    pacs: Orthanc
    quick: QuickSeries
    folder: Path
    services: list[subprocess.Popen[bytes]]
    sent: int = 0

    def install(self, package: str) -> None:
        self.host.run(f"apt-get install -y -q /root/{package} postgresql redis-server")
        self.host.run("service postgresql start; service redis-server start")

    def set_up(self) -> None:
        destination = f"PACS={self.pacs.ae_title}@127.0.0.1:{self.pacs.dicom_port}"
        senders = f"MODALITY,{self.pacs.ae_title}"
        self.host.run(
            f"osteoscreenctl setup --calling-aets {senders} --destination {destination}"
            " --time-zone Europe/Berlin"
        )

    def start(self) -> None:
        migrate = self.host.start("osteoscreen-migrate.service", "")
        if code := migrate.wait(STEP_SECONDS):
            raise RuntimeError(f"osteoscreen-migrate: exit code {code}")
        self.services = [self.host.start(*unit) for unit in UNITS]
        for url in READY:
            wait_for(partial(answers, url), url, SERIES_SECONDS)

    def stop(self) -> None:
        """Stop the units as systemd does: by SIGTERM to their main processes."""
        for service in self.services:
            # nsenter waits for its child and passes no signal on.
            os.kill(children(service.pid)[0], signal.SIGTERM)
        for service in self.services:
            service.wait(120)

    def send(self) -> None:
        """Send a study; wait until the PACS has one report more."""
        before = len(self.pacs.find("Instance", Modality="SR"))
        self.sent += 1
        paths = self.quick.write(self.folder / f"sent{self.sent}")
        if code := storescu(paths, 11112).returncode:
            raise RuntimeError(f"storescu: exit code {code}")
        wait_for(
            lambda: len(self.pacs.find("Instance", Modality="SR")) > before,
            "a report at the PACS",
            SERIES_SECONDS,
        )

    def doctor(self) -> None:
        self.host.run("osteoscreenctl doctor")

    def upgrade(self) -> None:
        self.stop()  # systemd's part of the package scripts
        self.host.run("apt-get install -y -q /root/next.deb")
        self.start()
        self.send()

    def back_up(self) -> None:
        self.host.run(
            "install -d -m 0700 -o osteoscreen -g osteoscreen /var/backups/osteoscreen;"
            " osteoscreenctl backup /var/backups/osteoscreen"
        )

    def remove(self) -> None:
        self.stop()
        self.host.run(
            "apt-get remove -y -q osteoscreen; test ! -e /opt/osteoscreen;"
            " test ! -e /usr/sbin/osteoscreenctl; test -s /etc/osteoscreen/osteoscreen.env;"
            " test -d /var/lib/osteoscreen/spool/results"
        )

    def lose(self) -> None:
        """Purge the package, and lose the data and the database."""
        self.host.run(
            "apt-get purge -y -q osteoscreen; test ! -e /etc/osteoscreen;"
            " rm -r /var/lib/osteoscreen; runuser -u postgres -- dropdb osteoscreen;"
            " sed -i '/^requirepass/d; /^user default/d' /etc/redis/redis.conf;"
            " service redis-server restart"
        )

    def restore(self) -> None:
        """Restore into an empty host, and find every result of before."""
        self.install("next.deb")
        self.set_up()
        self.host.run(f"{EMPTY_DATABASE}; osteoscreenctl restore /var/backups/osteoscreen/*")
        self.set_up()
        self.start()
        state = self.host.run("osteoscreenctl status --json")
        if f'"delivered": {self.sent}' not in state:
            raise RuntimeError(f"not {self.sent} delivered: {state[:300]}")
        self.send()

    def purge(self) -> None:
        self.stop()
        self.host.run(
            "apt-get purge -y -q osteoscreen; test ! -e /etc/osteoscreen;"
            " test ! -e /opt/osteoscreen; test -d /var/lib/osteoscreen"
        )

    def steps(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield the steps by name."""
        yield "install the package, PostgreSQL and Redis", lambda: self.install("first.deb")
        yield "`osteoscreenctl setup`, ends with doctor", self.set_up
        yield "start the units with their user, secrets and sandbox", self.start
        yield "a study through to the PACS", self.send
        yield "`osteoscreenctl doctor`", self.doctor
        yield "upgrade to the next version, a study", self.upgrade
        yield "`osteoscreenctl backup`", self.back_up
        yield "remove: programs gone, settings and data kept", self.remove
        yield "purge, lose data, database and Redis password", self.lose
        yield "install, setup, restore, all results there, a study", self.restore
        yield "purge: settings gone, images kept", self.purge


def children(pid: int) -> list[int]:
    """Return the children of a process, by their numbers outside of namespaces."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def answers(url: str) -> bool:
    """Return whether a health probe answers with 200."""
    try:
        urlopen(url, timeout=5).close()  # noqa: S310 - a constant
    except (URLError, OSError):
        return False
    return True


def next_version(package: Path, target: Path) -> None:
    """Write a copy of a package with a higher version and the same files."""
    with tempfile.TemporaryDirectory() as folder:

        def run(*command: str | Path) -> None:
            subprocess.run(command, check=True, cwd=folder)

        run("dpkg-deb", "--control", package.absolute(), "control")
        control = Path(folder, "control/control")
        text = control.read_text()
        version = next(line for line in text.splitlines() if line.startswith("Version: "))
        control.write_text(text.replace(version, f"{version}+next"))
        run("tar", "--owner=0", "--group=0", "-czf", "control.tar.gz", "-C", "control", ".")
        run("ar", "x", package.absolute(), "debian-binary", "data.tar.zst")
        run("ar", "rc", target.absolute(), "debian-binary", "control.tar.gz", "data.tar.zst")


@contextmanager
def clean_host(package: Path, folder: Path, log: Path) -> Iterator[Host]:
    """Make a clean Debian 12 with the two packages in it."""
    root = CleanRoot.bootstrap("bookworm", folder / "root", log.with_suffix(".debootstrap"))
    root.join_network(log.with_suffix(".certificates"))
    # Without fsync of 43,000 files: the system is deleted at the end.
    root.path("/etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")
    shutil.copy(package, root.path("/root/first.deb"))
    next_version(package, root.path("/root/next.deb"))
    shutil.copy(RUNNER, root.path("/root/run_unit.py"))
    host = Host(root, log)
    try:
        yield host
    finally:
        host.close()


def run_steps(trial: Trial) -> list[tuple[str, float, str]]:
    """Run the steps to the first that fails; return name, seconds and fault of each."""
    rows = []
    for name, step in trial.steps():
        started, fault = time.monotonic(), ""
        try:
            step()
        except (RuntimeError, AssertionError, subprocess.SubprocessError) as error:
            fault = str(error)[:600]
        rows.append((name, time.monotonic() - started, fault))
        print(f"{name}: {rows[-1][1]:.0f} s {fault}", flush=True)
        if fault:
            break
    return rows


def table(rows: Sequence[tuple[str, float, str]]) -> str:
    """Return the record in Markdown."""
    lines = [f"| {name} | {seconds:.0f} s | {fault or 'ok'} |" for name, seconds, fault in rows]
    return "\n".join(["| step | time | |", "|---|---|---|", *lines])


def main() -> int:
    """Run the trial; print its record."""
    parser = argparse.ArgumentParser(prog="python -m tests.clean_host", description=__doc__)
    parser.add_argument("package", type=Path, help="made by make deb")
    parser.add_argument("--log", type=Path, default=Path("build/clean-host.log"))
    options = parser.parse_args()
    if reason := why_not() or next((f"port {p} is in use" for p in PORTS if listens(p)), None):
        print(f"skipped: {reason}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.log.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="osteoscreen-host-"))
    try:
        with (
            running_orthanc(folder / "pacs") as pacs,
            clean_host(options.package, folder, options.log) as host,
        ):
            quick = make_quick_series(folder / "quick")
            rows = run_steps(Trial(host, pacs, quick, folder, []))
    finally:
        remove(folder)
    print(table(rows))
    return int(any(fault for _, _, fault in rows))


if __name__ == "__main__":
    sys.exit(main())
