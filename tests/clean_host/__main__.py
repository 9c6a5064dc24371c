"""``python -m tests.clean_host PACKAGE.deb``: a host from installation to removal.

As root. Makes a clean Debian by debootstrap, and does there what docs/deployment.md says:
package with PostgreSQL and Redis of Debian, ``setup``, the units (started by ``run_unit.py``,
as systemd cannot run in a chroot), a study through to a PACS, a next version with another
schema of the database (``next_package.py``), ``backup``, removal, everything lost, ``restore``,
purge. Prints a table in Markdown; exit code 1 if a step failed. Uses the ports of an
installation (5432, 6379, 8043, 9464, 9471, 11112) on this machine.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.clean_host.host import STEP_SECONDS, Host, children, clean_host
from tests.clean_host.next_package import MIGRATED, next_version
from tests.fresh.clean_root import remove, why_not
from tests.support.quick_series import QuickSeries, make_quick_series
from tests.support.servers import Orthanc, listens, running_orthanc, storescu, wait_for

PYTHONS = {"bookworm": 11, "trixie": 13}
"""Minor version of ``python3`` of Debian 12 and 13."""
PORTS = (5432, 6379, 11112, 9464, 9471, 8043)
SERIES_SECONDS = 600.0
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
EMPTY_DATABASE = (
    "runuser -u postgres -- dropdb --force osteoscreen;"
    " runuser -u postgres -- createdb --owner=osteoscreen osteoscreen"
)


@dataclass
class Trial:
    """The host, its PACS and what was sent.

    ``revision`` : schema of the next version. ``on_record`` : series before the upgrade.
    """

    host: Host
    revision: str
    pacs: Orthanc
    quick: QuickSeries
    folder: Path
    services: list[subprocess.Popen[bytes]]
    sent: int = 0
    on_record: int = 0

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
        """Install the next version, whose programs wait for its migration."""
        self.stop()  # systemd's part of the package scripts
        self.on_record = int(self.query("SELECT count(*) FROM series"))
        self.host.run("apt-get install -y -q /root/next.deb")
        needs = f"this version needs {self.revision}"
        self.host.run(f"osteoscreenctl status 2>&1 | grep -F '{needs}'")
        self.start()
        self.host.run(f'test "$(osteoscreenctl db current)" = {self.revision}')
        self.check_migration()
        self.send()
        self.doctor()

    def check_migration(self) -> None:
        """Find the change that the migration made to the series on record then."""
        migrated = int(self.query(MIGRATED))
        if not 0 < migrated == self.on_record:
            raise RuntimeError(f"{migrated} of {self.on_record} series were migrated")

    def query(self, statement: str) -> str:
        """Return the answer of PostgreSQL to a statement."""
        psql = f'psql -qtA -c "{statement}" osteoscreen'
        return self.host.run(f"runuser -u postgres -- {psql}").strip()

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
        self.check_migration()
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
        yield "upgrade to the next version, migration, a study", self.upgrade
        yield "`osteoscreenctl backup`", self.back_up
        yield "remove: programs gone, settings and data kept", self.remove
        yield "purge, lose data, database and Redis password", self.lose
        yield "install, setup, restore, all results there, a study", self.restore
        yield "purge: settings gone, images kept", self.purge


def answers(url: str) -> bool:
    """Return whether a health probe answers with 200."""
    try:
        urlopen(url, timeout=5).close()  # noqa: S310 - a constant
    except (URLError, OSError):
        return False
    return True


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


def package_for(release: str, packages: Sequence[Path]) -> Path | None:
    """Return the newest package that is for the Python of a release, None if none is."""
    wanted = f"python3 (>= 3.{PYTHONS[release]})"

    def depends(package: Path) -> str:
        read = ("dpkg-deb", "--field", package, "Depends")
        return subprocess.run(read, check=True, capture_output=True, text=True).stdout

    fitting = [package for package in packages if wanted in re.split(r",\s*", depends(package))]
    return max(fitting, key=lambda package: package.stat().st_mtime, default=None)


def main() -> int:
    """Run the trial; print its record."""
    parser = argparse.ArgumentParser(prog="python -m tests.clean_host", description=__doc__)
    parser.add_argument("packages", type=Path, nargs="+", metavar="PACKAGE", help="of make deb")
    parser.add_argument("--release", choices=PYTHONS, default="bookworm")
    parser.add_argument("--log", type=Path, default=Path("build/clean-host.log"))
    options = parser.parse_args()
    if reason := why_not() or next((f"port {p} is in use" for p in PORTS if listens(p)), None):
        print(f"skipped: {reason}")
        return 0
    package = package_for(options.release, options.packages)
    if package is None:
        python = f"python3.{PYTHONS[options.release]}"
        print(f"no package for {options.release}: make one by make deb PYTHON={python}")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.log.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="osteoscreen-host-"))
    try:
        following = folder / "next.deb"
        revision = next_version(package, following)
        with (
            running_orthanc(folder / "pacs") as pacs,
            clean_host(options.release, package, following, options.log) as host,
        ):
            quick = make_quick_series(folder / "quick")
            rows = run_steps(Trial(host, revision, pacs, quick, folder, []))
    finally:
        remove(folder)
    print(table(rows))
    return int(any(fault for _, _, fault in rows))


if __name__ == "__main__":
    sys.exit(main())
