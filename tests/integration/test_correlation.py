"""Covered: the correlation ID in the logs of Storage SCP and worker, from the association to
the delivery: one association, several, STOW-RS, a Storage SCP killed before the registration,
and the output of ``show``. Real processes, dcmtk as sender, Orthanc as destination.

Not covered: retries (the same code binds their log lines).
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from pydicom import dcmread

from db.states import SeriesState
from deploy.demo.embedded import free_port
from deploy.demo.processes import Process
from tests.support.history import Record
from tests.support.series import uid_of
from tests.support.servers import (
    Orthanc,
    child_environment,
    storescu,
    wait_for,
    wait_until_listening,
)
from tests.support.services import StartProcess
from tests.support.stow_request import FILE_TYPE, body_of

pytestmark = [pytest.mark.servers, pytest.mark.slow]
Lines = list[dict[str, str]]
SCREENED_AND_SENT = [
    "screening_started", "series_screened", "destination_did_not_answer",  # at Orthanc
    "object_confirmed", "object_confirmed", "object_confirmed",
]  # fmt: skip


@pytest.fixture
def settings(
    child_settings: dict[str, object], model_dir: Path, orthanc: Orthanc
) -> dict[str, object]:
    return child_settings | {
        "MODEL_DIR": model_dir,
        "LOG_FORMAT": "json",
        "QUIET_SECONDS": 3,
        "STOW_HOST": "127.0.0.1",
        "STOW_PORT": free_port(),
        "DESTINATIONS": [orthanc.dimse_destination()],
    }


def grep(correlation_id: str, process: Process) -> Lines:
    """Return the log lines that contain the ID."""
    return [json.loads(line) for line in process.log.splitlines() if correlation_id in line]


def events(lines: Lines) -> list[str]:
    return [line["event"] for line in lines]


def in_any_order(lines: Lines) -> list[str]:
    """Sort events of the Storage SCP: two of its processes log associations and series."""
    return sorted(events(lines))


def delivered(settings: dict[str, object], uid: str) -> str:
    """Wait for the end of a series and return its correlation ID."""
    with Record(str(settings["DATABASE_URL"])) as record:
        series = record.wait_until(uid).series
    assert series.state is SeriesState.DELIVERED, series.error
    assert series.correlation_id is not None
    return series.correlation_id


def send(settings: dict[str, object], paths: tuple[Path, ...]) -> None:
    sent = storescu(paths, int(str(settings["PORT"])))
    assert sent.returncode == 0, sent.stderr


def test_one_id_leads_from_the_association_to_the_delivery(
    settings: dict[str, object],
    start_storescp: StartProcess,
    start_celery: StartProcess,
    coronal_series: tuple[Path, ...],
    tmp_path: Path,
) -> None:
    scp, worker = start_storescp(settings), start_celery(settings)

    send(settings, coronal_series)
    correlation_id = delivered(settings, uid_of(coronal_series))

    by_scp, by_worker = grep(correlation_id, scp), grep(correlation_id, worker)
    assert in_any_order(by_scp) == sorted([
        "association_accepted", "series_arriving", "association_ended", "series_queued"
    ])  # fmt: skip
    assert events(by_worker) == SCREENED_AND_SENT
    patient = dcmread(coronal_series[0], stop_before_pixels=True)
    assert str(patient.PatientID) not in json.dumps(by_scp + by_worker)
    show = subprocess.run(
        [sys.executable, "-m", "worker", "show", uid_of(coronal_series)],
        env=child_environment(settings),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert correlation_id in show.stdout


def test_a_series_of_several_senders_has_the_id_of_the_first(
    settings: dict[str, object],
    start_storescp: StartProcess,
    start_celery: StartProcess,
    coronal_series: tuple[Path, ...],
) -> None:
    scp, worker = start_storescp(settings), start_celery(settings)
    half = len(coronal_series) // 2

    send(settings, coronal_series[:half])
    send(settings, coronal_series[half:-1])
    store_by_stow(settings, coronal_series[-1])
    correlation_id = delivered(settings, uid_of(coronal_series))

    by_scp = grep(correlation_id, scp)
    assert in_any_order(by_scp) == sorted([
        "association_accepted", "series_arriving", "association_ended",
        "series_arriving", "series_arriving", "series_queued",
    ])  # fmt: skip
    joined = [one["assoc_id"] for one in by_scp if one["event"] == "series_arriving"]
    assert joined[0] == correlation_id
    assert len(set(joined)) == 3
    assert in_any_order(grep(joined[1], scp)) == sorted([
        "association_accepted", "series_arriving", "association_ended"
    ])  # fmt: skip
    assert events(grep(joined[2], scp)) == ["series_arriving", "stow_request"]
    assert events(grep(correlation_id, worker)) == SCREENED_AND_SENT


def store_by_stow(settings: dict[str, object], path: Path) -> None:
    answer = requests.post(
        f"http://127.0.0.1:{settings['STOW_PORT']}/studies",
        data=body_of([path.read_bytes()]),
        headers={"Content-Type": FILE_TYPE},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text


def test_the_id_survives_a_storage_scp_killed_before_the_registration(
    settings: dict[str, object],
    start_storescp: StartProcess,
    start_celery: StartProcess,
    coronal_series: tuple[Path, ...],
) -> None:
    scp = start_storescp(settings)
    send(settings, coronal_series)
    with Record(str(settings["DATABASE_URL"])) as record:
        wait_for(lambda: record.find(uid_of(coronal_series)), "the row of the series")

    scp.kill()
    scp.start()
    wait_until_listening(scp, int(str(settings["PORT"])))
    worker = start_celery(settings)
    correlation_id = delivered(settings, uid_of(coronal_series))

    found = events(grep(correlation_id, scp))
    assert {"association_accepted", "series_arriving"} <= set(found)
    assert found[-1] == "series_queued"
    assert events(grep(correlation_id, worker)) == SCREENED_AND_SENT
