"""What the tests ask the database."""

from collections.abc import Collection, Iterable
from types import TracebackType
from typing import Self

from sqlalchemy import select

from db.models import ResultObject, Series
from db.overview import SeriesHistory, series_history
from db.session import make_engine, make_sessions
from db.spool import SeriesKey
from db.states import RunOutcome, SeriesState
from tests.servers import wait_for

ENDED = frozenset({SeriesState.DELIVERED, SeriesState.REJECTED, SeriesState.FAILED})


class Record:
    """A connection to one test's database."""

    def __init__(self, database_url: str) -> None:
        self._engine = make_engine(database_url, application_name="tests")
        self._sessions = make_sessions(self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engine.dispose()

    def find(self, uid: str) -> SeriesHistory | None:
        """All about a series, None while it is not registered."""
        with self._sessions.begin() as session:
            return series_history(session, uid)

    def standing(self) -> dict[SeriesKey, tuple[SeriesState, int]]:
        """State and number of instances of every series."""
        with self._sessions.begin() as session:
            rows = session.execute(
                select(
                    Series.study_instance_uid,
                    Series.series_instance_uid,
                    Series.state,
                    Series.instance_count,
                )
            )
            return {SeriesKey(*uids): (state, count) for *uids, state, count in rows}

    def object_uids(self) -> set[str]:
        """SOP Instance UIDs of all objects of all series."""
        with self._sessions.begin() as session:
            return set(session.scalars(select(ResultObject.sop_instance_uid)))

    def history(self, uid: str) -> SeriesHistory:
        """All about a series that is registered."""
        history = self.find(uid)
        assert history is not None, f"{uid} is not on record"
        return history

    def wait_until(
        self, uid: str, states: Collection[SeriesState] = ENDED, seconds: float = 120
    ) -> SeriesHistory:
        """Wait until a series is in one of the states."""

        def there() -> SeriesHistory | None:
            history = self.find(uid)
            return history if history and history.series.state in states else None

        found = wait_for(there, f"{uid} to be {' or '.join(sorted(states))}", seconds)
        assert found is not None
        return found

    def wait_for_all(
        self, uids: Iterable[str], states: Collection[SeriesState] = ENDED
    ) -> list[SeriesHistory]:
        """Wait until every series is in one of the states."""
        return [self.wait_until(uid, states) for uid in uids]


def outcomes(history: SeriesHistory) -> list[RunOutcome | None]:
    """How the runs of a series ended, oldest first; None for one that is active."""
    return [run.outcome for run in history.screenings]
