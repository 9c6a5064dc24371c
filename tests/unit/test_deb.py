"""Files and control data of the Debian package; that it installs is for a clean system.

Not covered: the Python environment of the package (``make deb``).
"""

import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEB = ROOT / "deploy/deb"
MINOR = 11


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package without its Python environment."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed (Debian package dpkg)")
    folder = tmp_path_factory.mktemp("deb")
    subprocess.run([DEB / "stage.sh", folder / "root", str(MINOR)], check=True)
    build = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", folder / "root", folder]
    subprocess.run(build, check=True, capture_output=True)
    (path,) = folder.glob("*.deb")
    return path


def read(*command: str | Path) -> str:
    return subprocess.check_output([*map(str, command)], text=True)


def test_package_names_version_and_python_of_its_environment(package: Path) -> None:
    version = re.findall(r'(?m)^version = "(.+)"', (ROOT / "pyproject.toml").read_text())[0]

    fields = dict(
        line.split(": ", 1)
        for line in read("dpkg-deb", "--field", package).splitlines()
        if not line.startswith(" ")
    )

    assert package.name.startswith(f"osteoscreen_{version}+python3.{MINOR}_")
    assert fields["Version"] == f"{version}+python3.{MINOR}"
    assert "python3 (>= 3.11), python3 (<< 3.12), " in fields["Depends"]
    assert fields["Architecture"] == read("dpkg", "--print-architecture").strip()
    assert int(fields["Installed-Size"]) > 100
    assert "@" not in re.sub(r"<.*>", "", (package.parent / "root/DEBIAN/control").read_text())


def test_package_has_units_users_folders_settings_and_pages(package: Path) -> None:
    lines = [line.split() for line in read("dpkg-deb", "--contents", package).splitlines()]
    files = {line[5]: (line[0], line[1]) for line in lines}

    units = [
        f"./usr/lib/systemd/system/{one.name}" for one in ROOT.glob("deploy/systemd/*.service")
    ]
    drop_ins = [
        f"./usr/share/osteoscreen/drop-in/{one.name}"
        for one in ROOT.glob("deploy/systemd/drop-in/*.conf")
    ]
    assert len(units) == 4
    assert {
        *units,
        *drop_ins,
        "./usr/lib/sysusers.d/osteoscreen.conf",
        "./usr/lib/tmpfiles.d/osteoscreen.conf",
        "./usr/share/osteoscreen/osteoscreen.env",
        "./opt/osteoscreen/docs/operations.md",
    } <= files.keys()
    assert "-> /opt/osteoscreen/venv/bin/osteoscreenctl" in read(
        "dpkg-deb", "--contents", package
    )
    assert {owner for _, owner in files.values()} == {"root/root"}
    # Settings and secrets belong to the host: neither is part of the package.
    assert not [path for path in files if path.startswith("./etc")]
    assert [
        path for path, (mode, _) in files.items() if mode[8] == "w" and mode[0] != "l"
    ] == []


def test_version_of_a_later_python_or_program_is_an_upgrade() -> None:
    if shutil.which("dpkg") is None:
        pytest.skip("dpkg is not installed")
    ascending = ("0.1.0", "0.1.0+python3.9", "0.1.0+python3.11", "0.1.0+python3.13", "0.1.1")

    for older, newer in pairwise(ascending):
        subprocess.run(["dpkg", "--compare-versions", older, "lt", newer], check=True)


def test_environment_of_any_python_runs_with_that_of_debian(tmp_path: Path) -> None:
    minor = sys.version_info[1]
    venv = tmp_path / "venv"
    uv = Path(sys.executable).with_name("uv")
    make = (uv, "venv", "--quiet", "--offline", "--relocatable", "--python", sys.executable)
    subprocess.run([*make, venv], check=True)

    subprocess.run([DEB / "relink.sh", venv, str(minor)], check=True)

    debian = Path(f"/usr/bin/python3.{minor}")
    assert (venv / "bin/python").readlink() == debian
    assert "\nhome = /usr/bin\n" in f"\n{(venv / 'pyvenv.cfg').read_text()}"
    if not debian.exists():
        pytest.skip(f"{debian} is not installed")
    code = "import sys; print(sys.prefix, sys.base_prefix)"
    assert read(venv / "bin/python3", "-c", code) == f"{venv} /usr\n"


def test_units_name_the_folders_of_the_package(package: Path) -> None:
    units = "".join(one.read_text() for one in ROOT.glob("deploy/systemd/*.service"))
    build = (DEB / "build.sh").read_text()
    programs = set(re.findall(r"/opt/osteoscreen/venv/bin/\w+", units))

    assert programs == {f"/opt/osteoscreen/venv/bin/{name}" for name in ("python", "celery")}
    assert "venv=$root/opt/osteoscreen/venv\n" in build
    documents = set(re.findall(r"Documentation=file:/(\S+)", units))
    contents = read("dpkg-deb", "--contents", package)
    assert [path for path in documents if f"./{path}" not in contents] == []


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_maintainer_scripts_are_shell_and_installed_executable(
    package: Path, script: str
) -> None:
    subprocess.run(["sh", "-n", DEB / script], check=True)
    installed = package.parent / "root/DEBIAN" / script

    assert installed.stat().st_mode & 0o777 == 0o755
    assert installed.read_bytes() == (DEB / script).read_bytes()


def test_removal_keeps_images_and_results() -> None:
    script = (DEB / "postrm").read_text()

    removed = re.findall(r"rm -rf (\S+)", script)

    assert removed == ["/opt/osteoscreen", "/etc/osteoscreen"]
    assert script.index("= purge") < script.index("rm -rf /etc/osteoscreen")
