"""A run over a study: its ranking, and the series that it has screened."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from common.logging import get_logger
from common.spool.layout import SeriesKey, list_instances
from db import study_leases, study_series
from db.runs import StudyLease
from db.session import DatabaseUnavailable
from db.study_series import RunSeries
from worker.context import WorkerContext
from worker.errors import describe, incomplete, stack_of
from worker.pipeline.ranking.rank import Ranking, rank
from worker.pipeline.ranking.series_facts import StudySeries
from worker.pipeline.results import Failed, Hip, Rejected, Screening
from worker.pipeline.screen import screen
from worker.pipeline.screen_study import StudyScreening, screen_study
from worker.screening.study_decisions import is_same

log = get_logger(__name__)


class Superseded(RuntimeError):
    """The used part of the ranking has changed since the run read it."""


class StudyRun:
    """Screens the series that the ranking asks for, each once.

    ``series`` : the complete series on record. A finished one whose images retention has
    removed is not ranked.
    """

    def __init__(
        self, context: WorkerContext, lease: StudyLease, series: Sequence[RunSeries]
    ) -> None:
        self._context = context
        self.lease = lease
        self.series = series
        self._ended: dict[str, Screening | Rejected | Failed] = {}
        self._patients = context.patient_rules()

    @property
    def by_uid(self) -> dict[str, RunSeries]:
        """The series by Series Instance UID."""
        return {one.series_instance_uid: one for one in self.series}

    @cached_property
    def ranking(self) -> Ranking:
        """The ranking of the series, from their headers."""
        return self._rank()

    def has_files(self, one: RunSeries) -> bool:
        """Return whether the spool holds all images of a series.

        After retention it may hold a part: sent again, or of a change that was refused.
        """
        return len(self._paths(one)) >= max(1, one.instance_count)

    def series_id_of(self, hip: Hip) -> int | None:
        """Return the series that a hip is taken from."""
        one = self.by_uid.get(hip.series_instance_uid)
        return None if one is None else one.series_id

    def screen(self) -> StudyScreening:
        """Go down the ranking; raise the error of a series that has attempts left."""
        most = self._context.settings.study_max_series
        return screen_study(self.ranking, self._screen_one, max_series=most)

    def screen_again(self, before: StudyScreening) -> StudyScreening:
        """Rank again the series that are on record now, without screening another one.

        Raises Superseded if that leads to another result.
        """
        revisions = {one.series_id: one.revision for one in self.series}
        with self._context.sessions.begin() as session:
            self.series = study_series.run_series(session, self.lease.study_id)
        for uid in self._ended:
            one = self.by_uid.get(uid)
            if one is None or revisions[one.series_id] != one.revision:
                raise Superseded
        ranking = self._rank()
        most = self._context.settings.study_max_series
        again = screen_study(ranking, self._ended_one, max_series=most)
        if not is_same(before, again):
            raise Superseded
        return again

    def _rank(self) -> Ranking:
        ranked = [one for one in self.series if one.is_new or self.has_files(one)]
        return rank(
            [
                StudySeries(one.series_instance_uid, self._paths(one), one.refused_count)
                for one in ranked
            ],
            self._context.settings.series_rules,
            self._patients,
        )

    def _ended_one(self, uid: str) -> Screening | Rejected | Failed:
        if uid not in self._ended:
            raise Superseded
        return self._ended[uid]

    def _screen_one(self, uid: str) -> Screening | Rejected | Failed:
        self._ended[uid] = self._attempt(self.by_uid[uid])
        return self._ended[uid]

    def _attempt(self, one: RunSeries) -> Screening | Rejected | Failed:
        """Screen a series; one without an attempt left is failed.

        The attempt is counted before the pixels are read: the series may end the process.
        """
        uid, most = one.series_instance_uid, self._context.settings.max_attempts
        if one.attempts >= most:
            return Failed(uid, f"{one.attempts} attempts ended the worker")
        if not self.has_files(one):
            return Failed(uid, incomplete(len(self._paths(one)), one.instance_count))
        with self._context.sessions.begin() as session:
            study_leases.begin_series(session, one.series_id)
        try:
            model = self._context.load_model()
            result = screen(
                self._paths(one),
                model,
                refused=one.refused_count,
                patients=self._patients,
            )
        except DatabaseUnavailable:
            raise
        except Exception as error:
            if one.attempts + 1 < most:
                raise
            log.error(
                "series_failed",
                series_instance_uid=uid,
                error=describe(error),
                stack=stack_of(error),
            )
            return Failed(uid, describe(error))
        with self._context.sessions.begin() as session:
            study_leases.end_series(session, one.series_id)
        return result

    def _paths(self, one: RunSeries) -> tuple[Path, ...]:
        key = SeriesKey(self.lease.study_instance_uid, one.series_instance_uid)
        return list_instances(self._context.settings.spool_dir, key)
