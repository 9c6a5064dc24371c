"""``python -m tests.fresh`` (``make fresh``): the README's commands in clean Debian systems.

For each release a minimal system with Python, make and git, a clone of HEAD, then nothing but
``make demo`` and ``make test``: as root; and as an ordinary user without sudo and without HOME,
with ``LANG=C``, ``umask 077`` and a path with a space, where the first ``make demo`` is killed
and a third one must install nothing. Takes about an hour and 15 GB in /var/tmp; the output of
each step is in build/fresh. Prints a table at the end; exit code 1 if a step failed. A download
is what the network interfaces of the host received, so other traffic counts as well.
"""

import argparse
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fresh.clean_root import ROOT_USER, CleanRoot, Result, User, remove, why_not

REPOSITORY = Path(__file__).parents[2]
LOGS = REPOSITORY / "build/fresh"
FOLDER = Path("/var/tmp")  # noqa: S108 - not /tmp: that may be memory
RELEASES = {"bookworm": "Debian 12", "trixie": "Debian 13"}
SCENARIOS = ("root", "user")
DEMO_SECONDS, TEST_SECONDS, APT_SECONDS = 900.0, 3600.0, 300.0
INTERRUPT_SECONDS = 10.0
# As make-venv.sh tells a user who may not install it.
INSTALL = re.compile(r"type sudo apt-get install (python3\.\d+-venv)\n")
PASSED = re.compile(r"(\d+) passed(?:, (\d+) skipped)?.* in ")
# An ordinary user has not the tools that root installs: more tests are skipped.
MIN_PASSED = {"root": 2600, "user": 2000}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    system: str
    step: str
    result: Result
    fault: str = ""


class Checkout:
    """A clean clone in a clean system, and the user who has it."""

    def __init__(self, root: CleanRoot, release: str, scenario: str) -> None:
        self._root = root
        self._name = f"{release}-{scenario}"
        self._system = f"{RELEASES[release]}, {scenario}"
        self._min_passed = MIN_PASSED[scenario]
        self._user, self._umask = ROOT_USER, "022"
        self._environment = {"LANG": "C.UTF-8", "HOME": ROOT_USER.home}
        self._folder = "/root/osteoscreen"
        root.join_network(self._log("certificates"))
        if scenario == "user":
            self._user = root.add_user("visitor", self._log("useradd"))
            self._umask = "077"
            self._environment = {"LANG": "C"}
            self._folder = f"{self._user.home}/my projects/osteoscreen"
        clone(root.path(self._folder), self._user, self._umask)

    def steps(self, *, tests: bool) -> Iterator[Row]:
        """Run the steps one after the other, to the first that fails."""
        if self._user is not ROOT_USER:
            yield (refused := self._refused())
            if refused.fault:
                return
            # Leaves a half-made environment, as a user does who presses Ctrl-C.
            interrupted = self._run("make demo", INTERRUPT_SECONDS, "interrupted")
            yield self._row("make demo, killed", interrupted, "")
        yield (demo := self._make("demo", DEMO_SECONDS))
        if demo.fault:
            return
        if self._user is not ROOT_USER:
            yield self._second_demo()
        if tests:
            yield self._test()

    def _refused(self) -> Row:
        """The first attempt of a user without python3-venv; then root does what it says."""
        result = self._run("make demo", DEMO_SECONDS, "refused")
        told = INSTALL.search(result.output)
        if result.code == 0 or told is None:
            return self._row("make demo without python3-venv", result, "no package was named")
        installed = self._root.run(
            ("sh", "-ec", f"apt-get update -qq; apt-get install -y -qq {told[1]}"),
            log=self._log("install"),
            title=f"{self._system}: {told[0].strip()}",
            seconds=APT_SECONDS,
            environment={"DEBIAN_FRONTEND": "noninteractive"},
        )
        fault = "the package cannot be installed" if installed.code else ""
        return self._row(f"root installs {told[1]}", installed, fault)

    def _second_demo(self) -> Row:
        ready = self._root.path(f"{self._folder}/.venv/.ready")
        before = ready.stat().st_mtime_ns
        row = self._make("demo", DEMO_SECONDS, step="make demo, again")
        fault = row.fault or ("installed again" if ready.stat().st_mtime_ns != before else "")
        return Row(row.system, row.step, row.result, fault)

    def _test(self) -> Row:
        row = self._make("test", TEST_SECONDS)
        passed = PASSED.findall(row.result.output)
        few = not passed or int(passed[-1][0]) < self._min_passed
        return Row(row.system, row.step, row.result, row.fault or ("few tests" if few else ""))

    def _make(self, target: str, seconds: float, *, step: str | None = None) -> Row:
        name = step or f"make {target}"
        result = self._run(f"make {target}", seconds, re.sub(r"\W+", "-", name))
        fault = f"exit code {result.code}" if result.code else ""
        return self._row(name, result, fault)

    def _run(self, command: str, seconds: float, log: str) -> Result:
        script = f'umask {self._umask}; cd "{self._folder}"; exec {command}'
        return self._root.run(
            ("sh", "-ec", script),
            log=self._log(log),
            title=f"{self._system}: {command}",
            seconds=seconds,
            user=self._user,
            environment=self._environment,
        )

    def _row(self, step: str, result: Result, fault: str) -> Row:
        return Row(self._system, step, result, fault)

    def _log(self, name: str) -> Path:
        return LOGS / f"{self._name}-{name}.log"


def clone(folder: Path, user: User, umask: str) -> None:
    """A clone of HEAD that belongs to the user, as if the user had made it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    source = REPOSITORY.as_uri()
    script = 'umask "$1"; exec git clone --quiet --depth 1 "$2" "$3"'
    subprocess.run(["sh", "-ec", script, "sh", umask, source, folder], check=True, timeout=300)
    owner = f"{user.number}:{user.number}"
    parent = folder if user is ROOT_USER else folder.parent
    subprocess.run(["chown", "--recursive", owner, parent], check=True, timeout=60)


def table(rows: Sequence[Row]) -> str:
    """The results in Markdown."""
    lines = ["| system | step | time | download | |", "|---|---|---|---|---|"]
    for row in rows:
        minutes, seconds = divmod(round(row.result.seconds), 60)
        megabytes = row.result.received / 1e6
        passed = PASSED.findall(row.result.output)
        outcome = row.fault or "".join(f"{p} passed, {s or 0} skipped" for p, s in passed[-1:])
        lines.append(
            f"| {row.system} | {row.step} | {minutes}:{seconds:02} min "
            f"| {megabytes:,.0f} MB | {outcome} |"
        )
    return "\n".join(lines)


def run_release(release: str, scenarios: Sequence[str], folder: Path, tests: bool) -> list[Row]:
    """All scenarios of a release, each in a copy of one clean system."""
    log = LOGS / f"{release}-debootstrap.log"
    clean = CleanRoot.bootstrap(release, folder / release, log)
    rows: list[Row] = []
    for scenario in scenarios:
        root = clean.copy(folder / f"{release}-{scenario}")
        rows += Checkout(root, release, scenario).steps(tests=tests)
        remove(root.folder)
    return rows


def main() -> int:
    """Run what the arguments choose; everything without arguments."""
    parser = argparse.ArgumentParser(prog="python -m tests.fresh", description=__doc__)
    parser.add_argument("--release", choices=RELEASES, action="append")
    parser.add_argument("--scenario", choices=SCENARIOS, action="append")
    parser.add_argument("--demo-only", action="store_true", help="without make test")
    arguments = parser.parse_args()
    if reason := why_not():
        print(f"skipped: {reason}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    LOGS.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="osteoscreen-fresh-", dir=FOLDER))
    rows: list[Row] = []
    try:
        for release in arguments.release or RELEASES:
            chosen = arguments.scenario or SCENARIOS
            rows += run_release(release, chosen, folder, not arguments.demo_only)
    except KeyboardInterrupt:
        return 130
    finally:
        remove(folder)
        print(table(rows))
    return int(any(row.fault for row in rows))


if __name__ == "__main__":
    sys.exit(main())
