"""The Celery app as others see it: names, queues, what may travel.

The behavior of the tasks is tested on real servers in tests/integration and tests/faults.
"""

from pathlib import Path

import pytest
from celery import Celery

from db.queue import DELIVER_TASK, DELIVERY_QUEUE, SCREEN_TASK, SCREENING_QUEUE


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Celery:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))  # no .env of the developer's
        from worker.celery import app
    app.loader.import_default_modules()
    return app


@pytest.mark.parametrize(
    ("task", "queue"), [(SCREEN_TASK, SCREENING_QUEUE), (DELIVER_TASK, DELIVERY_QUEUE)]
)
def test_each_task_goes_to_its_own_queue(app: Celery, task: str, queue: str) -> None:
    assert task in app.tasks
    assert app.amqp.router.route({}, task)["queue"].name == queue


def test_a_worker_as_typed_serves_both_queues(app: Celery) -> None:
    assert set(app.amqp.queues.consume_from) == {SCREENING_QUEUE, DELIVERY_QUEUE}


def test_each_queue_is_bound_to_itself_only(app: Celery) -> None:
    for name, queue in app.amqp.queues.items():
        assert (queue.exchange.name, queue.routing_key) == (name, name)


def test_nothing_but_json_is_read_from_the_broker(app: Celery) -> None:
    assert app.conf.accept_content == ["json"]


def test_a_living_worker_keeps_its_message_longer_than_a_screening_may_take(
    app: Celery,
) -> None:
    from worker.celery import settings

    assert app.conf.broker_transport_options["visibility_timeout"] > settings.limit_seconds


def test_the_worker_package_itself_imports_nothing() -> None:
    source = Path(__file__).parents[3] / "worker" / "__init__.py"

    assert "import " not in source.read_text().replace("Imports", "")
