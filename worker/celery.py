"""Entry of ``celery -A worker worker``, which looks for ``app`` in this module."""

from common.settings.load import load_settings
from common.settings.worker import WorkerSettings
from worker.celery_app import make_app

app = make_app(load_settings(WorkerSettings))
