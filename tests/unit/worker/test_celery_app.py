"""Covered: the Celery app as senders and the broker see it: task names, queues, content.

The behavior of the tasks is tested on real servers in tests/integration and tests/faults.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from celery import Celery
from celery.app.utils import find_app

from common.settings.load import load_settings
from common.settings.worker import WorkerSettings
from common.task_publisher import DELIVER_TASK, DELIVERY_QUEUE, SCREEN_TASK, SCREENING_QUEUE
from worker.celery_app import make_app


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> WorkerSettings:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("cwd"))  # without the developer's .env
        return load_settings(WorkerSettings)


@pytest.fixture(scope="module")
def app(settings: WorkerSettings) -> Celery:
    return make_app(settings)


def test_celery_finds_the_app_by_the_name_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    found = find_app("worker")

    assert {SCREEN_TASK, DELIVER_TASK} <= set(found.tasks)


@pytest.mark.parametrize(
    ("task", "queue"), [(SCREEN_TASK, SCREENING_QUEUE), (DELIVER_TASK, DELIVERY_QUEUE)]
)
def test_each_task_goes_to_its_own_queue(app: Celery, task: str, queue: str) -> None:
    assert task in app.tasks
    assert app.amqp.router.route({}, task)["queue"].name == queue


def test_a_worker_without_options_serves_both_queues(app: Celery) -> None:
    assert set(app.amqp.queues.consume_from) == {SCREENING_QUEUE, DELIVERY_QUEUE}


def test_each_queue_is_bound_to_its_own_exchange_only(app: Celery) -> None:
    for name, queue in app.amqp.queues.items():
        assert (queue.exchange.name, queue.routing_key) == (name, name)


def test_nothing_but_json_is_read_from_the_broker(app: Celery) -> None:
    assert app.conf.accept_content == ["json"]


def test_a_message_is_not_redelivered_while_its_screening_may_still_run(
    app: Celery, settings: WorkerSettings
) -> None:
    assert app.conf.broker_transport_options["visibility_timeout"] > settings.limit_seconds


def test_the_worker_package_itself_imports_nothing() -> None:
    program = (
        "import sys; before = set(sys.modules); import worker;"
        "print(sorted(set(sys.modules) - before))"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ended.stdout.strip() == "['worker']"
