"""Series that dcmtk sends to ``python -m storescp``, in spool and record."""

from collections.abc import Sequence
from pathlib import Path

from pydicom import Dataset

from common.spool.layout import SeriesKey, instance_path
from db import history
from db.models import Series
from db.states import SeriesState
from tests.support.ct_factory import write_files
from tests.support.record import Sessions
from tests.support.servers import storescu, wait_for

Settings = dict[str, object]


def send(
    instances: Sequence[Dataset], settings: Settings, folder: Path, *, calling: str = "CT_01"
) -> None:
    """Send instances on one association by dcmtk; check that all are acknowledged."""
    paths = write_files(instances, folder)
    result = storescu(paths, int(str(settings["PORT"])), calling=calling, options=["-R"])
    assert result.returncode == 0, result.stderr


def stored(ds: Dataset, settings: Settings) -> Path:
    """Return the path of an instance in the spool."""
    key = SeriesKey(ds.StudyInstanceUID, ds.SeriesInstanceUID)
    return instance_path(Path(str(settings["SPOOL_DIR"])), key, ds.SOPInstanceUID)


def registered(
    sessions: Sessions,
    instances: Sequence[Dataset],
    *,
    revision: int = 1,
    seconds: float = 30,
) -> Series:
    """Wait until this revision of the series is queued."""

    def row() -> Series | None:
        with sessions() as session:
            series = history.series_by_uid(session, instances[0].SeriesInstanceUID)
        if series is None or series.revision != revision:
            return None
        return series if series.state is SeriesState.QUEUED else None

    found = wait_for(row, f"revision {revision} of the series", seconds)
    assert found is not None
    return found
