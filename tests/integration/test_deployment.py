"""Files for containers and systemd.

Covered: compose schema, Dockerfile and scripts by their own tools; secrets of each service;
settings that these files name exist. Not covered: units (test_systemd.py), monitoring
(test_monitoring.py), building and running images (no container engine here).
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from sqlalchemy import make_url

from common.settings.files import PREFIX
from common.settings.names import NAMES
from db import roles
from tests.support.deployment import DEPLOY, SERVICES, UNITS, run
from tests.support.servers import require_tool

CADDYFILE = DEPLOY / "review/Caddyfile"
PROFILES = ("cpu", "gpu", "review", "stow", "demo", "monitoring")


def test_compose_file_is_valid_with_every_profile(tmp_path: Path) -> None:
    compose = require_tool("docker-compose", "docker-compose")
    text = (DEPLOY / "compose.yaml").read_text()
    # Compose of Debian is too old for the name of the project.
    (tmp_path / "compose.yaml").write_text(re.sub(r"(?m)^name: .*$", "", text))
    profiles = [f"--profile={name}" for name in PROFILES]

    output = run(
        compose,
        "-f",
        tmp_path / "compose.yaml",
        "--project-directory",
        DEPLOY,
        *profiles,
        "config",
    )

    services = yaml.safe_load(output)["services"]
    assert {"storescp", "worker", "worker-gpu", "review", "migrate", "orthanc"} <= set(services)
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        # Its start script writes into the image.
        assert service.get("read_only") or name == "orthanc", name
    # proxy-data changes the owner of a volume and ends.
    root = {name for name, one in services.items() if one.get("user", "0:0")[:2] == "0:"}
    assert root == {"orthanc", "proxy-data"}
    for name in ("postgres", "redis"):
        assert "ports" not in services[name]
        assert set(services[name]["networks"]) == {"record"}


def test_compose_with_tls_gives_every_client_the_authority_of_the_servers(
    tmp_path: Path,
) -> None:
    compose = require_tool("docker-compose", "docker-compose")
    for name in ("compose.yaml", "compose.tls.yaml"):
        text = (DEPLOY / name).read_text()
        (tmp_path / name).write_text(re.sub(r"(?m)^name: .*$", "", text))
    files = (f"-f{tmp_path / name}" for name in ("compose.yaml", "compose.tls.yaml"))
    profiles = [f"--profile={name}" for name in PROFILES]

    text = run(compose, *files, "--project-directory", DEPLOY, *profiles, "config")

    merged = yaml.safe_load(text)
    services = merged["services"]
    mounted = {
        name: {one if isinstance(one, str) else one["source"] for one in service["secrets"]}
        for name, service in services.items()
        if "secrets" in service
    }
    servers = {
        "postgres": {"postgres_cert", "postgres_key"},
        "redis": {"redis_cert", "redis_key", "servers_ca"},
    }
    names = SECRETS.keys() - servers.keys() - {"grafana"}
    clients = {name: {"servers_ca"} for name in names}
    added = {name: names - SECRETS[name] for name, names in mounted.items()}
    assert {name: names for name, names in added.items() if names} == servers | clients
    assert set().union(*added.values()) <= set(merged["secrets"])
    options = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["postgres"]
    for option in options["command"]:  # no patient data in the log, with TLS as well
        assert option in services["postgres"]["command"][-1]


def test_secrets_with_tls_verify_both_servers(tmp_path: Path) -> None:
    script = shutil.copy(DEPLOY / "make-secrets.sh", tmp_path)
    expected = yaml.safe_load((DEPLOY / "compose.tls.yaml").read_text())["secrets"]
    folder = tmp_path / "secrets"

    run(script, cwd=tmp_path)
    run(script, "--tls", cwd=tmp_path)
    created = {path.name: path.read_text() for path in folder.iterdir()}
    run(script, "--tls", cwd=tmp_path)

    assert {path.name: path.read_text() for path in folder.iterdir()} == created
    assert set(expected) <= set(created)
    for name in ("database_url", *(f"database_url_{one}" for one in SERVICES)):
        assert "?sslmode=verify-full&sslrootcert=/run/secrets/servers_ca" in created[name]
    assert created["broker_url"].startswith("rediss://")
    assert created["broker_url"].endswith("&ssl_ca_certs=/run/secrets/servers_ca")
    for name in ("postgres", "redis"):
        run(
            *("openssl", "verify", "-verify_hostname", name),
            *("-CAfile", folder / "servers_ca", folder / f"{name}_cert"),
        )
    assert [name for name in created if name.startswith("servers_ca_")] == []  # no key of it


def test_tokens_reach_compose_services_through_the_proxy_alone() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services, networks = compose["services"], compose["networks"]
    sites = set(re.findall(r"reverse_proxy (\w+):(\d+)", CADDYFILE.read_text()))

    assert sites == {("review", "8043"), ("storescp", "8080")}
    assert services["storescp"]["environment"]["OSTEOSCREEN_STOW_PORT"] == "8080"
    published = {
        port.rpartition(":")[2] for one in services.values() for port in one.get("ports", ())
    }
    assert {"8443", "8444"} <= published
    assert not {"8043", "8080"} & published
    assert set(services["proxy"]["profiles"]) == {"review", "stow"}
    for name, network in (("review", "review"), ("storescp", "stow")):
        assert network in services[name]["networks"]
        members = {key for key, one in services.items() if network in one.get("networks", ())}
        assert members == {name, "proxy"}
    assert set(services["proxy"]["networks"]) <= set(networks)


SECRETS = {
    "postgres": {"postgres_password"},
    "redis": {"redis_password"},
    "grafana": {"grafana_password"},
    "migrate": {"database_url"} | {f"database_url_{one}" for one in SERVICES},
    "storescp": {"database_url_storescp", "broker_url", "stow_token"},
    "worker": {"database_url_worker", "broker_url", "destinations"},
    "worker-gpu": {"database_url_worker", "broker_url", "destinations"},
    "review": {"database_url_review", "review_tokens"},
}


@pytest.mark.covers("T12")
def test_each_compose_service_has_the_secrets_that_it_needs() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]

    found = {
        name: {one if isinstance(one, str) else one["source"] for one in service["secrets"]}
        for name, service in services.items()
        if "secrets" in service
    }

    assert found == SECRETS


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
@pytest.mark.covers("T12")
def test_each_unit_has_the_secrets_that_it_needs(unit: Path) -> None:
    name = unit.stem.removeprefix("osteoscreen-").removesuffix("@")
    # STOW-RS is off unless a site turns it on.
    expected = SECRETS[name] - {"stow_token"}

    found = set(
        re.findall(r"LoadCredential=\w+:/etc/osteoscreen/secrets/(\w+)", unit.read_text())
    )

    assert found == expected


def test_a_service_gets_the_database_url_of_its_role(tmp_path: Path) -> None:
    run(shutil.copy(DEPLOY / "make-secrets.sh", tmp_path), cwd=tmp_path)

    owner = (tmp_path / "secrets/database_url").read_text()
    logins = {
        roles.read_login((tmp_path / f"secrets/database_url_{one}").read_text())
        for one in SERVICES
    }

    assert {one.name for one in logins} == roles.RIGHTS.keys()
    assert len({one.password for one in logins} | {make_url(owner).password}) == 4


def test_the_database_log_has_no_patient_data() -> None:
    command = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["postgres"][
        "command"
    ]

    assert set(command[1:]) == {f"-c{k}={v}" for k, v in roles.LOG_PARAMETERS.items()}


def test_images_are_pinned_in_one_place(tmp_path: Path) -> None:
    """The registry is not reachable here: its client is replaced."""
    folder = tmp_path / "deploy"
    folder.mkdir()
    script = shutil.copy(DEPLOY / "pin-images.sh", folder)
    shutil.copy(DEPLOY / "compose.yaml", folder)
    client = tmp_path / "docker"
    client.write_text(f"#!/bin/sh\necho sha256:{'5' * 64}\n")
    client.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    before = subprocess.run([script, "--check"], capture_output=True).returncode
    for _ in range(2):
        subprocess.run([script], env=environment, check=True, capture_output=True)
    after = subprocess.run([script, "--check"], capture_output=True).returncode

    compose = yaml.safe_load((folder / "compose.yaml").read_text())
    used = {one["image"] for one in compose["services"].values() if "build" not in one}
    assert (before != 0, after) == (True, 0)
    assert used <= set(compose["x-images"].values())
    assert all(one.endswith("@sha256:" + "5" * 64) for one in compose["x-images"].values())


def test_secrets_are_created_once_and_for_every_service(tmp_path: Path) -> None:
    script = shutil.copy(DEPLOY / "make-secrets.sh", tmp_path)
    expected = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["secrets"]

    run(script, cwd=tmp_path)
    created = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    run(script, cwd=tmp_path)
    again = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}

    assert set(created) == set(expected)
    assert again == created
    assert created["postgres_password"] in created["database_url"]
    assert json.loads(created["destinations"])[0]["host"] == "orthanc"


def test_dockerfile_is_clean() -> None:
    run(Path(sys.executable).with_name("hadolint"), "Dockerfile")


@pytest.mark.parametrize(
    "path",
    [
        DEPLOY / "compose.yaml",
        DEPLOY / "Dockerfile",
        *sorted((DEPLOY / "systemd").rglob("*.*")),
    ],
    ids=lambda path: path.name,
)
def test_named_settings_exist(path: Path) -> None:
    named = set(re.findall(rf"\b{PREFIX}([A-Z_]+[A-Z])", path.read_text()))

    # IMAGE and VERSION are variables of the compose file for the names of the images.
    assert {name.removesuffix("_FILE") for name in named} <= NAMES | {"IMAGE", "VERSION"}
