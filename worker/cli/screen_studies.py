"""Screening of the studies of a folder: one result a study, and its files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from common.dicom.series_rules import SeriesRules
from worker.cli.finished import Finished, FinishedStudy, path_of, write_parts
from worker.cli.studies import Studies
from worker.errors import describe
from worker.pipeline.ranking.rank import rank
from worker.pipeline.ranking.series_facts import StudySeries
from worker.pipeline.results import Failed, Model, Rejected, Screening
from worker.pipeline.screen import screen
from worker.pipeline.screen_study import SeriesOutcome, StudyScreening, screen_study
from worker.pipeline.study_json import series_json, study_json
from worker.pipeline.validation.patient import ALL_ADULTS, PatientRules
from worker.screening import outputs
from worker.screening.outputs import OutputOptions


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """What of each study is screened, and how its outputs are built."""

    outputs: OutputOptions
    rules: SeriesRules
    max_series: int
    patients: PatientRules = ALL_ADULTS


class ScreenOne:
    """Screens one series of a study; an error is kept and yields to the next series."""

    def __init__(
        self, series: Mapping[str, StudySeries], model: Model | None, patients: PatientRules
    ) -> None:
        self.errors: dict[str, Exception] = {}
        self._series = series
        self._model = model
        self._patients = patients

    def reject(self, series_instance_uid: str) -> Rejected | None:
        """Return the result of a series that its headers reject."""
        result = self(series_instance_uid)
        if not isinstance(result, Rejected):
            return None
        # Without a readable file the result has no Series Instance UID of its own.
        return replace(result, series_instance_uid=series_instance_uid)

    def __call__(self, series_instance_uid: str) -> Screening | Rejected | Failed:
        try:
            paths = self._series[series_instance_uid].paths
            return screen(paths, self._model, patients=self._patients)
        except Exception as error:
            self.errors[series_instance_uid] = error
            return Failed(series_instance_uid, describe(error))


def screen_studies(
    studies: Studies,
    out_dir: Path,
    model: Model | None,
    *,
    at: datetime,
    options: StudyOptions,
) -> Iterator[FinishedStudy]:
    """Screen each study in turn and write its outputs, named by the best series it uses."""
    for uid, series in studies.items():
        members = {one.series_instance_uid: one for one in series}
        screen_one = ScreenOne(members, model, options.patients)
        ranking = rank(series, options.rules, options.patients)
        study = screen_study(ranking, screen_one, max_series=options.max_series)
        files: Mapping[str, str | None] = {}
        if (result := study.result) is not None:
            try:
                study, files = _write_outputs(study, result, out_dir, at, options.outputs)
            except Exception as error:
                screen_one.errors[result.series_instance_uid] = error
                study = _failed(study, result.series_instance_uid, describe(error))
        study = _with_all_checks(study, screen_one)
        yield FinishedStudy(
            tuple(_finished(one, study, files, screen_one.errors) for one in study.series),
            study_json(uid, study, files),
        )


def _write_outputs(
    study: StudyScreening,
    result: Screening,
    out_dir: Path,
    at: datetime,
    options: OutputOptions,
) -> tuple[StudyScreening, Mapping[str, str | None]]:
    """Write the files; return the study with the times of building them, and their paths."""
    built = outputs.build_outputs(result, at=at, options=options)
    path = partial(path_of, out_dir, result.series_instance_uid)
    entry = outputs.write_files(built, path, write_parts)
    return replace(study, result=built.screening), entry["outputs"]


def _with_all_checks(study: StudyScreening, screen_one: ScreenOne) -> StudyScreening:
    """Apply all rules to the series that a few headers rejected; no pixel is read for them."""
    series = tuple(
        replace(one, result=screen_one.reject(one.series_instance_uid))
        if one.state == "rejected" and one.result is None and one.ranked.facts.reason
        else one
        for one in study.series
    )
    return replace(study, series=series)


def _failed(study: StudyScreening, series_instance_uid: str, error: str) -> StudyScreening:
    """Return a study whose outputs could not be written."""
    series = tuple(
        replace(one, state="failed", error=error)
        if one.series_instance_uid == series_instance_uid
        else one
        for one in study.series
    )
    return StudyScreening("failed", series)


def _finished(
    one: SeriesOutcome,
    study: StudyScreening,
    files: Mapping[str, str | None],
    errors: Mapping[str, Exception],
) -> Finished:
    """Return a series with its own entry; that of the best used series names the files."""
    uid, result = one.series_instance_uid, study.result
    if uid in errors:
        return Finished(uid, None, errors[uid])
    if result is None or uid != result.series_instance_uid:
        return Finished(uid, series_json(one))
    if {hip.series_instance_uid for hip in result.hips} == {uid}:
        one = replace(one, result=result)
    return Finished(uid, series_json(one, files))
