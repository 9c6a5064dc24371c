"""Studies of a folder of DICOM files."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker.pipeline.ranking.series_facts import StudySeries
from worker.pipeline.series_headers import study_uid_of

Studies = Mapping[str, tuple[StudySeries, ...]]


def group_studies(series: Mapping[str, Sequence[Path]]) -> Studies:
    """Group series by the StudyInstanceUID of their first file that has one.

    A series without one is a study of its own: it cannot be screened for that reason.
    """
    studies: defaultdict[str, list[StudySeries]] = defaultdict(list)
    for uid, paths in series.items():
        study = next(filter(None, map(study_uid_of, paths)), uid)
        studies[study].append(StudySeries(uid, tuple(paths)))
    return {study: tuple(members) for study, members in studies.items()}
