"""Alert rules of Prometheus by promtool, and the dashboard of Grafana."""

import json
import re

import pytest
import yaml

from common.metrics import REGISTRY
from tests.support.deployment import DEPLOY, run
from tests.support.servers import require_tool

MONITORING = DEPLOY / "monitoring"
ENDINGS = ("", "_total", "_bucket", "_count", "_sum")


@pytest.mark.covers("R24")
def test_alert_rules_are_valid_and_fire_when_they_should() -> None:
    promtool = require_tool("promtool", "prometheus")

    run(promtool, "check", "rules", MONITORING / "alerts.yml")
    output = run(promtool, "test", "rules", MONITORING / "alerts_test.yml")

    assert "SUCCESS" in output


def test_every_alert_names_an_action() -> None:
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]

    for rule in groups[0]["rules"]:
        assert set(rule["annotations"]) == {"summary", "action"}, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")


@pytest.mark.parametrize("name", ["alerts.yml", "grafana/dashboards/osteoscreen.json"])
def test_queried_metrics_exist(name: str) -> None:
    samples = {f"{metric.name}{end}" for metric in REGISTRY.collect() for end in ENDINGS}

    queried = set(re.findall(r"\bosteoscreen_[a-z_]+", (MONITORING / name).read_text()))

    assert queried
    assert queried <= samples


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
