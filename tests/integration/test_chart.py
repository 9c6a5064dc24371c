"""Helm chart: lint, rendered resources, settings and rejected values.

Not covered: a real cluster.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from common.settings.files import PREFIX
from common.settings.names import NAMES

CHART = Path(__file__).parents[2] / "deploy/helm/osteoscreen"
KUBERNETES = "1.33"


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
def test_chart_renders_valid_kubernetes_resources(values: dict[str, Any]) -> None:
    documents = list(rendered(values))

    kinds = {document["kind"] for document in documents}
    assert {"Deployment", "Service", "Job", "ConfigMap", "NetworkPolicy"} <= kinds
    for document in documents:
        if document["kind"] != "PodMonitor":  # a resource of the Prometheus operator
            kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_chart_exposes_review_page_and_stow_only_if_enabled() -> None:
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

    assert [port["name"] for port in closed["ports"]] == ["dicom", "health", "metrics"]
    assert [one["name"] for one in closed["env"]] == [f"{PREFIX}BROKER_URL_FILE"]
    assert [port["name"] for port in scp["ports"]] == ["dicom", "health", "metrics", "stow"]
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


def test_chart_requests_a_gpu_only_if_enabled() -> None:
    limits = {
        gpu: container(
            {"worker": {"gpu": gpu, "resources": {"limits": {"memory": "8Gi"}}}}, "demo-worker"
        )["resources"]["limits"]
        for gpu in (False, True)
    }

    assert limits == {False: {"memory": "8Gi"}, True: {"memory": "8Gi", "nvidia.com/gpu": 1}}


def test_chart_runs_containers_read_only_and_not_as_root() -> None:
    for document in rendered({}):
        pod = document.get("spec", {}).get("template", {}).get("spec")
        if pod is None:
            continue
        assert pod["securityContext"]["runAsNonRoot"] is True
        for one in pod["containers"]:
            assert one["securityContext"]["readOnlyRootFilesystem"] is True
            assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}


COMMON = {"broker_url", "database_url"}
MOUNTED: dict[str, set[str]] = {
    "demo-storescp": COMMON | {"stow_token"},
    "demo-worker": COMMON | {"destinations"},
    "demo-review": {"database_url", "review_tokens"},
    "demo-migrate": {"database_url"},
}


@pytest.mark.parametrize("with_roles", [False, True])
def test_each_pod_mounts_the_secrets_that_it_needs(with_roles: bool) -> None:
    values = VALUES["review and STOW-RS"] | {"databaseRoles": with_roles}

    found, owners = {}, {}
    for document in rendered(values):
        pod = document.get("spec", {}).get("template", {}).get("spec")
        if pod is None:
            continue
        name = document["metadata"]["name"].removesuffix("-1")
        (volume,) = (one for one in pod["volumes"] if one["name"] == "secrets")
        items = volume["projected"]["sources"][0]["secret"]["items"]
        found[name] = {one["path"] for one in items}
        (owners[name],) = (one["key"] for one in items if one["path"] == "database_url")

    services = {one.removeprefix("demo-") for one in MOUNTED} - {"migrate"}
    extra = {f"database_url_{one}" for one in services} if with_roles else set()
    assert found == MOUNTED | {"demo-migrate": {"database_url"} | extra}
    assert owners == {
        "demo-migrate": "database_url",
        **{
            f"demo-{one}": f"database_url_{one}" if with_roles else "database_url"
            for one in services
        },
    }


def test_every_pod_has_the_authority_of_the_servers_if_one_is_given() -> None:
    found = {}
    for values in ({}, {"serversCaSecret": "servers-ca"}):
        for document in rendered(VALUES["review and STOW-RS"] | values):
            pod = document.get("spec", {}).get("template", {}).get("spec")
            if pod is None:
                continue
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
            (volume,) = (one for one in pod["volumes"] if one["name"] == "secrets")
            sources = [one["secret"] for one in volume["projected"]["sources"]]
            name = document["metadata"]["name"].removesuffix("-1")
            found[name, bool(values)] = [one for one in sources if one["name"] == "servers-ca"]

    item = {"name": "servers-ca", "items": [{"key": "ca.crt", "path": "servers_ca"}]}
    assert found == {
        (name, given): [item] if given else [] for name in MOUNTED for given in (False, True)
    }


def test_a_digest_replaces_the_tag() -> None:
    digest = "sha256:" + "0" * 64
    image = {"repository": "r/osteoscreen", "digests": {"worker": digest}}

    assert container({"image": image}, "demo-worker")["image"] == (
        f"r/osteoscreen-worker@{digest}"
    )
    assert "@" not in container({"image": image}, "demo-storescp")["image"]


@pytest.mark.parametrize(
    "values",
    [
        {"existingSecret": ""},
        {"image": {"digests": {"worker": "latest"}}},
        {"worker": {"replica": 2}},
        {"worker": {"queues": ["screenings"]}},
        {"settings": {"OSTEOSCREEN_PORT": 1}},
        {"review": {"enabled": True}},
        {"storescp": {"tls": True}},
        {"storescp": {"stow": {"port": 0}}},
    ],
)
def test_chart_rejects_wrong_values(values: dict[str, Any]) -> None:
    with helm_python.Chart.load(str(CHART)) as chart, pytest.raises(helm_python.HelmError):
        chart.render(values, name="demo", namespace="pacs")


def test_settings_of_the_chart_exist() -> None:
    (settings,) = (one for one in rendered({}) if one["kind"] == "ConfigMap")

    names = {name.removeprefix(PREFIX).removesuffix("_FILE") for name in settings["data"]}

    assert names <= NAMES


def rendered(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the documents of the chart, rendered with these values."""
    with helm_python.Chart.load(str(CHART)) as chart:
        for text in chart.render(values, name="demo", namespace="pacs").values():
            yield from filter(None, yaml.safe_load_all(text))


def container(values: dict[str, Any], deployment: str) -> dict[str, Any]:
    """Return the container of a deployment."""
    (found,) = (
        document["spec"]["template"]["spec"]["containers"][0]
        for document in rendered(values)
        if document["kind"] == "Deployment" and document["metadata"]["name"] == deployment
    )
    assert isinstance(found, dict)
    return found
