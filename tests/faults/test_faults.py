"""What must survive: a killed worker, a database that is away, an emptied broker, a PACS that
is away. Real processes, real servers, real kills.

Not covered: a full disk (tests of the Storage SCP), a lost spool.
"""

from pathlib import Path

import pytest
import redis

from db.states import DeliveryState, RunOutcome, SeriesState
from deploy.embedded import Postgres, free_port
from tests.conftest import StartProcess
from tests.history import Record, outcomes
from tests.series import copy_series, study_of, uid_of
from tests.servers import Orthanc, running_orthanc, storescu, wait_for

pytestmark = [pytest.mark.servers, pytest.mark.slow]

Settings = dict[str, object]


@pytest.fixture
def settings(child_settings: Settings, model_dir: Path) -> Settings:
    return {**child_settings, "MODEL_DIR": model_dir, "LEASE_SECONDS": 5}


def send(paths: tuple[Path, ...], settings: Settings) -> str:
    sent = storescu(paths, int(str(settings["PORT"])))
    assert sent.returncode == 0, sent.stderr
    return uid_of(paths)


def roles(orthanc: Orthanc, study: str) -> list[str]:
    """Modality of each object of the study at the PACS."""
    series = orthanc.find("Series", StudyInstanceUID=study)
    return sorted(one["MainDicomTags"]["Modality"] for one in series for _ in one["Instances"])


def test_a_worker_killed_in_the_middle_leaves_one_sr_and_one_sc_after_restart(
    settings: Settings,
    coronal_series: tuple[Path, ...],
    orthanc: Orthanc,
    start_storescp: StartProcess,
    start_celery: StartProcess,
) -> None:
    settings["DESTINATIONS"] = [orthanc.dimse_destination()]
    start_storescp(settings)
    worker = start_celery(settings)
    with Record(str(settings["DATABASE_URL"])) as record:
        uid = send(coronal_series, settings)
        record.wait_until(uid, {SeriesState.SCREENING})

        worker.kill()
        assert record.history(uid).series.state is SeriesState.SCREENING
        start_celery(settings)

        history = record.wait_until(uid)
        assert history.series.state is SeriesState.DELIVERED
        assert outcomes(history) == [RunOutcome.EXPIRED, RunOutcome.SCREENED]
    assert roles(orthanc, study_of(coronal_series)) == ["OT", "SR"]


def test_a_series_that_kills_its_workers_is_given_up(
    settings: Settings,
    coronal_series: tuple[Path, ...],
    start_storescp: StartProcess,
    start_celery: StartProcess,
) -> None:
    settings["MAX_ATTEMPTS"] = 1
    start_storescp(settings)
    worker = start_celery(settings)
    with Record(str(settings["DATABASE_URL"])) as record:
        uid = send(coronal_series, settings)
        record.wait_until(uid, {SeriesState.SCREENING})

        worker.kill()
        start_celery(settings)

        history = record.wait_until(uid, {SeriesState.FAILED})
    assert history.series.attempts == 1
    assert outcomes(history) == [RunOutcome.EXPIRED]


def test_intake_refuses_nothing_while_the_database_is_away(
    own_postgres: Postgres,
    settings: Settings,
    coronal_series: tuple[Path, ...],
    orthanc: Orthanc,
    start_storescp: StartProcess,
    start_celery: StartProcess,
    tmp_path: Path,
) -> None:
    settings["DATABASE_URL"] = own_postgres.url
    settings["DESTINATIONS"] = [orthanc.dimse_destination()]
    series = [copy_series(coronal_series, tmp_path / str(n)) for n in range(3)]
    scp, worker = start_storescp(settings), start_celery(settings)

    own_postgres.stop()
    uids = [send(paths, settings) for paths in series]
    wait_for(lambda: "sweep_failed" in worker.log, "the worker to miss the database")
    assert scp.running
    own_postgres.start()

    with Record(own_postgres.url) as record:
        histories = record.wait_for_all(uids)
    assert {history.series.state for history in histories} == {SeriesState.DELIVERED}
    assert worker.running
    for paths in series:
        assert roles(orthanc, study_of(paths)) == ["OT", "SR"]


def test_an_emptied_broker_loses_no_series_and_screens_none_twice(
    settings: Settings,
    coronal_series: tuple[Path, ...],
    orthanc: Orthanc,
    start_storescp: StartProcess,
    start_celery: StartProcess,
    tmp_path: Path,
) -> None:
    settings["DESTINATIONS"] = [orthanc.dicomweb_destination()]
    series = [copy_series(coronal_series, tmp_path / str(n)) for n in range(10)]
    start_storescp(settings)
    uids = [send(paths, settings) for paths in series]
    with (
        Record(str(settings["DATABASE_URL"])) as record,
        redis.Redis.from_url(str(settings["BROKER_URL"])) as broker,
    ):
        record.wait_for_all(uids, {SeriesState.QUEUED})
        wait_for(lambda: broker.llen("screening") == 10, "ten messages")

        broker.flushall()
        start_celery(settings)
        record.wait_until(uids[0])
        broker.flushall()  # and again under the worker's feet

        histories = record.wait_for_all(uids)
    ends = {(history.series.state, history.series.error) for history in histories}
    assert ends == {(SeriesState.DELIVERED, None)}
    assert [outcomes(history) for history in histories] == [[RunOutcome.SCREENED]] * 10
    for paths in series:
        assert roles(orthanc, study_of(paths)) == ["OT", "SR"]


def test_a_pacs_that_was_away_gets_everything_once(
    settings: Settings,
    coronal_series: tuple[Path, ...],
    start_storescp: StartProcess,
    start_celery: StartProcess,
    tmp_path: Path,
) -> None:
    dicom_port = free_port()
    address = {"ae_title": "ORTHANC", "host": "127.0.0.1", "port": dicom_port}
    settings["DESTINATIONS"] = [{"name": "pacs", "kind": "dimse", **address}]
    start_storescp(settings)
    start_celery(settings)
    with Record(str(settings["DATABASE_URL"])) as record:
        uid = send(coronal_series, settings)
        record.wait_until(uid, {SeriesState.SCREENED})

        def tried() -> bool:
            deliveries = record.history(uid).deliveries
            return all(sent.delivery.last_status == "no connection" for sent in deliveries)

        wait_for(tried, "a first attempt that fails")

        with running_orthanc(tmp_path / "late", DicomPort=dicom_port) as pacs:
            history = record.wait_until(uid, {SeriesState.DELIVERED})
            assert len(history.deliveries) == 2
            for sent in history.deliveries:
                assert sent.delivery.state is DeliveryState.CONFIRMED
                assert sent.delivery.attempts >= 2
            assert roles(pacs, study_of(coronal_series)) == ["OT", "SR"]
            stored = [change["ChangeType"] for change in pacs.get("/changes")["Changes"]]
            assert stored.count("NewInstance") == 2


def test_a_warm_shutdown_finishes_what_it_began(
    settings: Settings,
    coronal_series: tuple[Path, ...],
    start_storescp: StartProcess,
    start_celery: StartProcess,
) -> None:
    start_storescp(settings)
    worker = start_celery(settings)
    with Record(str(settings["DATABASE_URL"])) as record:
        uid = send(coronal_series, settings)
        record.wait_until(uid, {SeriesState.SCREENING})

        code = worker.stop()

        history = record.history(uid)
    assert code == 0
    assert outcomes(history) == [RunOutcome.SCREENED]
