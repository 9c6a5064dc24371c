"""Database queries of tests."""

from collections.abc import Collection, Iterable
from types import TracebackType
from typing import Self

from sqlalchemy import select

from common.spool.layout import SeriesKey
from db.history import SeriesHistory, StudyHistory, series_history, study_history
from db.models import ResultObject, Series, Study
from db.session import make_engine, make_sessions
from db.states import FINAL, RunOutcome, SeriesState, StudyState
from tests.support.servers import wait_for

STUDY_ENDS = (StudyState.DELIVERED, StudyState.NOTHING_TO_REPORT, StudyState.FAILED)


class Record:
    """Connection to the database of a test."""

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
        """Return the history of a series; None while it is not registered."""
        with self._sessions.begin() as session:
            return series_history(session, uid)

    def find_study(self, uid: str) -> StudyHistory | None:
        """Return the history of a study with one result; None while it is not on record."""
        with self._sessions.begin() as session:
            return study_history(session, uid)

    def queue_status(self) -> dict[SeriesKey, tuple[SeriesState, int]]:
        """Return state and number of instances of every series."""
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

    def study_states(self) -> dict[str, StudyState | None]:
        """Return the state of every study; None where each series has a result."""
        with self._sessions.begin() as session:
            rows = session.execute(select(Study.study_instance_uid, Study.state))
            return {uid: state for uid, state in rows}

    def object_uids(self) -> set[str]:
        """Return the SOP Instance UIDs of the result objects of all series."""
        with self._sessions.begin() as session:
            return set(session.scalars(select(ResultObject.sop_instance_uid)))

    def history(self, uid: str) -> SeriesHistory:
        """Return the history of a registered series."""
        history = self.find(uid)
        assert history is not None, f"{uid} is not registered"
        return history

    def wait_until(
        self, uid: str, states: Collection[SeriesState] = FINAL, seconds: float = 120
    ) -> SeriesHistory:
        """Wait until a series is in one of the states."""

        def reached() -> SeriesHistory | None:
            history = self.find(uid)
            return history if history and history.series.state in states else None

        found = wait_for(reached, f"{uid} to be {' or '.join(sorted(states))}", seconds)
        assert found is not None
        return found

    def study(self, uid: str) -> StudyHistory:
        """Return the history of a study that is on record."""
        history = self.find_study(uid)
        assert history is not None, f"{uid} is not on record"
        return history

    def wait_until_study(
        self, uid: str, revision: int = 1, *, seconds: float = 600
    ) -> StudyHistory:
        """Wait until a study has ended, with its deliveries, in at least this revision."""

        def reached() -> StudyHistory | None:
            history = self.find_study(uid)
            if history is None or history.study.revision < revision:
                return None
            return history if history.study.state in STUDY_ENDS else None

        found = wait_for(reached, f"study {uid} to end", seconds)
        assert found is not None
        return found

    def wait_for_all(
        self, uids: Iterable[str], states: Collection[SeriesState] = FINAL
    ) -> list[SeriesHistory]:
        """Wait until every series is in one of the states."""
        return [self.wait_until(uid, states) for uid in uids]


def outcomes(history: SeriesHistory) -> list[RunOutcome | None]:
    """Return the outcomes of the runs of a series, oldest first; None if active."""
    return [run.outcome for run in history.screenings]
