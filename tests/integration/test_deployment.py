"""What is written for containers, systemd, Kubernetes, Prometheus and Grafana holds together.

Covered: compose schema, Dockerfile, units, chart and alert rules by their own tools; settings
and metrics that these files name exist. Not covered: building images and running them (no
container engine here), a real cluster.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from db.setting_names import NAMES, PREFIX
from db.telemetry import REGISTRY
from tests.servers import require_tool

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm/osteoscreen"
MONITORING = DEPLOY / "monitoring"
CADDYFILE = DEPLOY / "review/Caddyfile"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
KUBERNETES = "1.33"
# systemd's own scale from 0, least exposed, to 10.
MAX_EXPOSURE = 2.0
PROFILES = ("cpu", "gpu", "review", "stow", "demo", "monitoring")


def run(*command: str | Path, cwd: Path = DEPLOY) -> str:
    """What a tool says; it has to be content."""
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def test_compose_file_is_valid_with_every_profile(tmp_path: Path) -> None:
    compose = require_tool("docker-compose", "docker-compose")
    text = (DEPLOY / "compose.yaml").read_text()
    # The name of the project is newer than Debian's Compose.
    (tmp_path / "compose.yaml").write_text(re.sub(r"(?m)^name: .*$", "", text))
    profiles = [f"--profile={name}" for name in PROFILES]

    said = run(
        compose,
        "-f",
        tmp_path / "compose.yaml",
        "--project-directory",
        DEPLOY,
        *profiles,
        "config",
    )

    services = yaml.safe_load(said)["services"]
    assert {"storescp", "worker", "worker-gpu", "review", "migrate", "orthanc"} <= set(services)
    for name in ("storescp", "worker", "worker-gpu", "review"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
    for name in ("postgres", "redis"):
        assert "ports" not in services[name]
        assert set(services[name]["networks"]) == {"record"}


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


def test_secrets_are_made_once_and_for_every_service(tmp_path: Path) -> None:
    script = shutil.copy(DEPLOY / "make-secrets.sh", tmp_path)
    wanted = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["secrets"]

    run(script, cwd=tmp_path)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    run(script, cwd=tmp_path)
    again = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}

    assert set(made) == set(wanted)
    assert again == made
    assert made["postgres_password"] in made["database_url"]
    assert json.loads(made["destinations"])[0]["host"] == "orthanc"


def test_dockerfile_is_clean() -> None:
    run(Path(sys.executable).with_name("hadolint"), "Dockerfile")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_is_valid_and_little_exposed(unit: Path, tmp_path: Path) -> None:
    systemd_analyze = require_tool("systemd-analyze", "systemd")
    # The programs are not installed here; the rest of the line is checked.
    text = re.sub(
        r"/opt/osteoscreen/venv/bin/\w+", shutil.which("true") or "", unit.read_text()
    )
    (tmp_path / unit.name).write_text(text)

    said = run(systemd_analyze, "verify", "--man=no", unit.name, cwd=tmp_path)
    security = run(
        systemd_analyze, "security", "--offline=true", f"./{unit.name}", cwd=tmp_path
    )

    assert said == ""
    exposure = re.search(r"exposure level for .*: ([\d.]+)", security)
    assert exposure is not None
    assert float(exposure[1]) <= MAX_EXPOSURE


def test_alert_rules_are_valid_and_fire_when_they_should() -> None:
    promtool = require_tool("promtool", "prometheus")

    run(promtool, "check", "rules", MONITORING / "alerts.yml")
    said = run(promtool, "test", "rules", MONITORING / "alerts_test.yml")

    assert "SUCCESS" in said


def test_every_alert_says_what_to_do() -> None:
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]

    for rule in groups[0]["rules"]:
        assert set(rule["annotations"]) == {"summary", "action"}, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")


@pytest.mark.parametrize("name", ["alerts.yml", "grafana/dashboards/osteoscreen.json"])
def test_metrics_that_are_asked_for_exist(name: str) -> None:
    samples = {f"{metric.name}{end}" for metric in REGISTRY.collect() for end in ENDINGS}

    asked = set(re.findall(r"\bosteoscreen_[a-z_]+", (MONITORING / name).read_text()))

    assert asked
    assert asked <= samples


ENDINGS = ("", "_total", "_bucket", "_count", "_sum")


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    dashboard = json.loads((MONITORING / "grafana/dashboards/osteoscreen.json").read_text())

    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_chart_has_no_error() -> None:
    found = helm_python.lint(str(CHART))

    assert found["errors"] == []


VALUES: dict[str, dict[str, Any]] = {
    "default": {},
    "gpu": {"worker": {"gpu": True, "replicas": 4}, "podMonitor": {"enabled": True}},
    "given": {
        "existingSecret": "secrets",
        "spool": {"existingClaim": "nfs"},
        "storescp": {"service": {"type": "ClusterIP", "port": 104}},
        "networkPolicy": {"senders": [{"ipBlock": {"cidr": "10.0.0.5/32"}}]},
        "settings": {"QUIET_SECONDS": 20, "ALLOWED_PEERS": "10.0.0.5"},
    },
    "review and STOW-RS": {
        "tlsSecret": "certificate",
        "review": {"enabled": True},
        "storescp": {"stow": {"enabled": True}, "tls": True},
        "networkPolicy": {"browsers": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]},
    },
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
def test_chart_renders_what_kubernetes_takes(values: dict[str, Any]) -> None:
    documents = list(rendered(values))

    kinds = {document["kind"] for document in documents}
    assert {"Deployment", "Service", "Job", "ConfigMap", "NetworkPolicy"} <= kinds
    for document in documents:
        if document["kind"] != "PodMonitor":  # of the Prometheus operator
            kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_chart_opens_the_review_page_and_stow_where_it_should() -> None:
    closed = container({}, "demo-storescp")
    values = VALUES["review and STOW-RS"]
    scp, review = container(values, "demo-storescp"), container(values, "demo-review")
    ports = {
        one["metadata"]["name"]: {
            port["name"]: port["targetPort"] for port in one["spec"]["ports"]
        }
        for one in rendered(values)
        if one["kind"] == "Service"
    }
    (policy,) = (one for one in rendered(values) if one["kind"] == "NetworkPolicy")

    assert [port["name"] for port in closed["ports"]] == ["dicom", "health"]
    assert "env" not in closed
    assert [port["name"] for port in scp["ports"]] == ["dicom", "health", "stow"]
    assert ports == {
        "demo-storescp": {"dicom": "dicom", "stow": "stow"},
        "demo-review": {"review": "review"},
    }
    for one in (scp, review):
        names = {variable["name"].removeprefix(PREFIX) for variable in one["env"]}
        assert {"TLS_CERT", "TLS_KEY"} <= names
        assert {name.removesuffix("_FILE") for name in names} <= NAMES
    allowed = {
        port["port"]: rule.get("from")
        for rule in policy["spec"]["ingress"]
        for port in rule["ports"]
    }
    assert allowed["review"] == [{"ipBlock": {"cidr": "10.1.0.0/16"}}]
    assert "stow" in allowed
    assert "demo-review" not in {one["metadata"]["name"] for one in rendered({})}


def test_chart_asks_for_a_gpu_where_it_should() -> None:
    limits = {
        gpu: container(
            {"worker": {"gpu": gpu, "resources": {"limits": {"memory": "8Gi"}}}}, "demo-worker"
        )["resources"]["limits"]
        for gpu in (False, True)
    }

    assert limits == {False: {"memory": "8Gi"}, True: {"memory": "8Gi", "nvidia.com/gpu": 1}}


def test_chart_runs_nothing_as_root_and_nothing_writable() -> None:
    for document in rendered({}):
        pod = document.get("spec", {}).get("template", {}).get("spec")
        if pod is None:
            continue
        assert pod["securityContext"]["runAsNonRoot"] is True
        for one in pod["containers"]:
            assert one["securityContext"]["readOnlyRootFilesystem"] is True
            assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize(
    "values",
    [
        {"existingSecret": ""},
        {"worker": {"replica": 2}},
        {"worker": {"queues": ["screenings"]}},
        {"settings": {"OSTEOSCREEN_PORT": 1}},
        {"review": {"enabled": True}},
        {"storescp": {"tls": True}},
        {"storescp": {"stow": {"port": 0}}},
    ],
)
def test_chart_refuses_wrong_values(values: dict[str, Any]) -> None:
    with helm_python.Chart.load(str(CHART)) as chart, pytest.raises(helm_python.HelmError):
        chart.render(values, name="demo", namespace="pacs")


@pytest.mark.parametrize(
    "path",
    [DEPLOY / "compose.yaml", DEPLOY / "Dockerfile", *sorted((DEPLOY / "systemd").iterdir())],
    ids=lambda path: path.name,
)
def test_settings_that_are_named_exist(path: Path) -> None:
    named = set(re.findall(rf"\b{PREFIX}([A-Z_]+[A-Z])", path.read_text()))

    # Of the compose file alone, for the names of the images.
    assert {name.removesuffix("_FILE") for name in named} <= NAMES | {"IMAGE", "VERSION"}


def test_settings_of_the_chart_exist() -> None:
    (settings,) = (one for one in rendered({}) if one["kind"] == "ConfigMap")

    names = {name.removeprefix(PREFIX).removesuffix("_FILE") for name in settings["data"]}

    assert names <= NAMES


def rendered(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The documents of the chart with these values over its own."""
    with helm_python.Chart.load(str(CHART)) as chart:
        for text in chart.render(values, name="demo", namespace="pacs").values():
            yield from filter(None, yaml.safe_load_all(text))


def container(values: dict[str, Any], deployment: str) -> dict[str, Any]:
    """The one container of a deployment."""
    (found,) = (
        document["spec"]["template"]["spec"]["containers"][0]
        for document in rendered(values)
        if document["kind"] == "Deployment" and document["metadata"]["name"] == deployment
    )
    assert isinstance(found, dict)
    return found
