"""Counters of alerts are exported as 0 before the first event.

Prometheus computes no increase from an absent sample to the first one.
"""

import subprocess
import sys

IMPORT_AND_EXPORT = """
import storescp.__main__
from prometheus_client import generate_latest
from common.metrics import REGISTRY
print(generate_latest(REGISTRY).decode())
"""


def test_counters_of_alerts_begin_at_zero() -> None:
    exported = subprocess.run(
        [sys.executable, "-c", IMPORT_AND_EXPORT], check=True, capture_output=True, text=True
    ).stdout.splitlines()

    for outcome in (
        "calling_ae_title_not_recognized",
        "peer_not_allowed",
        "too_many_connections_of_peer",
    ):
        assert f'osteoscreen_associations_total{{outcome="{outcome}"}} 0.0' in exported
    assert 'osteoscreen_instances_total{status="0xA700"} 0.0' in exported
