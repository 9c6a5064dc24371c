"""Series in spool and record, as the Storage SCP leaves them, for runs of the worker."""

import shutil
from pathlib import Path

from pydicom import dcmread

from common.spool.layout import SeriesKey, instance_path
from db.completed_series import SeriesFacts
from db.registration import register_revision
from db.states import ResultPer
from db.studies import complete_studies
from db.transition import ChangedBy
from tests.support import record
from tests.support.quick_series import QuickSeries
from tests.support.record import NOW
from worker.context import WorkerContext, utc_now
from worker.screening.screen_study import screen_study

FACTS = SeriesFacts(
    patient_id="P1", issuer_of_patient_id="H1", patient_sex="F", study_date=NOW.date()
)


def receive(
    context: WorkerContext,
    quick: QuickSeries,
    folder: Path,
    per: ResultPer,
    *,
    study: str | None = None,
) -> tuple[SeriesKey, int]:
    """Put a new series of a new or of this study into spool and record.

    Return its key and ID.
    """
    paths = quick.write(folder, study=study)
    headers = [dcmread(path, stop_before_pixels=True) for path in paths]
    key = SeriesKey(str(headers[0].StudyInstanceUID), str(headers[0].SeriesInstanceUID))
    for path, ds in zip(paths, headers, strict=True):
        target = instance_path(context.settings.spool_dir, key, str(ds.SOPInstanceUID))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    series = record.completed(
        facts=FACTS,
        study_instance_uid=key.study_instance_uid,
        series_instance_uid=key.series_instance_uid,
    )
    with context.sessions.begin() as session:
        registered = register_revision(
            session, series, now=NOW, actor="storescp", result_per=per
        )
    return key, registered.series_id


def run_study(context: WorkerContext, key: SeriesKey) -> int | None:
    """Complete the study of a series and screen it."""
    with context.sessions.begin() as session:
        (due,) = complete_studies(
            session,
            quiet_seconds=0,
            counted_quiet_seconds=0,
            pending=(),
            sending=(),
            by=ChangedBy("storescp", utc_now()),
        )
    return screen_study(context, due.id)
