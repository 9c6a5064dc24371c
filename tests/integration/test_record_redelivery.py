"""Covered: ``retry --force``: which delivered results are due again, and the counts."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from db.leases import Lease
from db.redelivery import Delivered, delivered_results, redeliver_result
from db.states import SeriesState, StudyState
from tests.support import study_record as study
from tests.support.record import (
    NOW,
    Sessions,
    after,
    claim,
    completed,
    instance,
    lease,
    moves,
    objects,
    read_series,
    register,
    save,
    screening,
    send,
)
from tests.support.worker_cli import run_worker

pytestmark = pytest.mark.servers


def deliver(sessions: Sessions, number: int, version: str, *destinations: str) -> int:
    """Deliver a result of a series of its own, accepted ``number`` hours after NOW."""
    uids = {"study_instance_uid": f"1.2.{number}", "series_instance_uid": f"1.2.{number}.1"}
    series_id = register(sessions, completed(**uids)).series_id
    held: Lease = lease(sessions, series_id)
    made = objects(number)
    save(sessions, held, *destinations, result=screening(model_version=version), made=made)
    for destination in destinations:
        claims = claim(sessions, held.screening_id, destination)
        send(sessions, claims, at=3600 * number)
    return series_id


@pytest.fixture
def delivered(sessions: Sessions) -> list[int]:
    """Three delivered results; the last one went to two destinations."""
    return [
        deliver(sessions, 1, "1", "pacs"),
        deliver(sessions, 2, "2", "pacs"),
        deliver(sessions, 3, "2", "pacs", "archive"),
    ]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Delivered(uid="1.2.1"), [("1.2.1", {"pacs": 2})]),
        (Delivered(uid="1.2.2.1"), [("1.2.2", {"pacs": 2})]),
        (Delivered(destination="archive"), [("1.2.3", {"archive": 2})]),
        (
            Delivered(model_version="2"),
            [("1.2.2", {"pacs": 2}), ("1.2.3", {"archive": 2, "pacs": 2})],
        ),
        (Delivered(since=NOW + timedelta(hours=2), until=NOW + timedelta(hours=3)),
         [("1.2.2", {"pacs": 2})]),
        (Delivered(uid="1.2.1", model_version="2"), []),
    ],
)  # fmt: skip
def test_all_that_is_given_must_match(
    wanted: Delivered,
    expected: list[tuple[str, dict[str, int]]],
    sessions: Sessions,
    delivered: list[int],
) -> None:
    with sessions() as session:
        found = delivered_results(session, wanted)

    assert [(one.study_instance_uid, one.objects) for one in found] == expected


def test_a_result_is_sent_again_to_the_destination_that_lost_it(
    sessions: Sessions, delivered: list[int]
) -> None:
    wanted = Delivered(destination="archive")
    with sessions() as session:
        (found,) = delivered_results(session, wanted)
    with sessions.begin() as session:
        run = found.screening_id
        count = redeliver_result(session, run, wanted, actor="operator", now=after(20_000))
        again = redeliver_result(session, run, wanted, actor="operator", now=after(20_000))

    assert (count, again) == (2, 0)
    assert read_series(sessions, delivered[2]).state is SeriesState.SCREENED
    assert moves(sessions, delivered[2])[-1] == ("deliveries_retried", None, None, "operator")
    assert claim(sessions, run, "pacs", at=20_001) == ()
    send(sessions, claim(sessions, run, "archive", at=20_001), at=20_002)
    assert read_series(sessions, delivered[2]).state is SeriesState.DELIVERED


def test_the_report_of_a_study_is_sent_again(sessions: Sessions) -> None:
    held = study.take(sessions, study.due(sessions, 1, 2), at=60)
    study.save(sessions, held, study.ends(sessions, held), "pacs")
    send(sessions, claim(sessions, held.screening_id, at=60), at=61)
    before = study.state(sessions)
    wanted = Delivered(uid="1.2.3")
    with sessions() as session:
        (found,) = delivered_results(session, wanted)
    with sessions.begin() as session:
        redeliver_result(session, found.screening_id, wanted, actor="operator", now=after(90))

    assert (before, found.objects) == (StudyState.DELIVERED, {"pacs": 2})
    assert study.state(sessions) is StudyState.REPORTED
    send(sessions, claim(sessions, held.screening_id, at=91), at=92)
    assert study.state(sessions) is StudyState.DELIVERED


def test_a_superseded_result_is_not_sent_again(sessions: Sessions) -> None:
    series_id = deliver(sessions, 1, "1", "pacs")
    uids = {"study_instance_uid": "1.2.1", "series_instance_uid": "1.2.1.1"}
    corrected = completed(instance(0), instance(1, content="b"), instance(2), **uids)
    assert register(sessions, corrected, now=after(9000)).changed
    save(sessions, lease(sessions, series_id, now=after(9001)), "pacs", made=objects(2))

    with sessions() as session:
        assert delivered_results(session, Delivered(uid="1.2.1")) == []


def test_the_command_counts_and_then_sends_again(
    sessions: Sessions, delivered: list[int], database_url: str, tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": database_url, "SPOOL_DIR": tmp_path, "TIME_ZONE": "Etc/GMT-3"}

    def retry(*arguments: str) -> tuple[int, str]:
        ended = run_worker("retry", *arguments, cwd=tmp_path, settings=settings)
        return ended.returncode, ended.stdout + ended.stderr

    # 2026-11-23T12:00Z is 15:00 in the time zone of the settings.
    counted = retry("--force", "--since", "2026-11-23T16:30", "--dry-run")
    unchanged = [read_series(sessions, one).state for one in delivered]
    sent = retry("--force", "--since", "2026-11-23T16:30")
    states = [read_series(sessions, one).state for one in delivered]

    assert counted == (
        0,
        COUNTS + "would be sent again: 6 objects of 2 results; nothing was changed\n",
    )
    assert set(unchanged) == {SeriesState.DELIVERED}
    assert sent == (0, COUNTS + "6 deliveries of 2 results are due again\n")
    assert states == [SeriesState.DELIVERED, SeriesState.SCREENED, SeriesState.SCREENED]
    assert retry("--force")[0] == 2
    assert retry("1.2.1.1", "--dry-run")[0] == 2
    assert "`--force` sends delivered results again" in retry("1.2.1.1")[1]
    assert re.search(
        r"no destination lost \(known: .*pacs", retry("--force", "--destination", "lost")[1]
    )
    shown = run_worker("show", "1.2.1.1", cwd=tmp_path, settings=settings).stdout
    assert "2026-11-23T15:00:00+03:00" in shown


COUNTS = """archive: 2 objects, 1 results of model 2
pacs: 4 objects, 2 results of model 2
"""
