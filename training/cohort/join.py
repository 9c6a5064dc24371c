"""``training join``: find the CT of DXA patients in a nested folder tree of DICOM files.

The tree may have any depth, and files of several series in one folder. Patients are found by
the PatientID of the headers; of each study within three months of DXA, the best series by the
ranking of the worker is taken. No file is moved or copied.

``OUT/series/UID``    links to the files of one series
``OUT/manifest.csv``  manifest for ``prepare`` and ``evaluate``
``OUT/unused.csv``    lines without CT, and studies that were not taken, with reasons
"""

import csv
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

from common.dicom.patient_values import examination_date
from common.tables.errors import TableError
from common.tables.headings import ColumnMap
from common.tables.importer import import_table
from training.cohort.manifest import (
    FIELDS,
    MAX_ROWS,
    ManifestError,
    ManifestRow,
    date_exclusion,
    error_message,
)
from worker.pipeline import load
from worker.pipeline.header_values import text_of
from worker.pipeline.ranking.rank import rank
from worker.pipeline.ranking.series_facts import StudySeries
from worker.pipeline.series_headers import read_headers, study_uid_of

MANIFEST, UNUSED, SERIES = "manifest.csv", "unused.csv", "series"
NO_CT, NO_SERIES, OTHER_DXA = "NO_CT", "NO_SERIES", "OTHER_DXA"
DXA_FIELDS = tuple(each for each in FIELDS if each.name not in ("series_dir", "ct_date"))
COLUMNS = tuple(each.name for each in FIELDS)


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A CT study of the tree. ``series`` : the best one; None with the ``reason``."""

    patient: str
    day: date | None
    series: StudySeries | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Unused:
    """A line of the table or a study that is not in the manifest."""

    line: int | None
    patient: str
    code: str
    text: str


def read_dxa(path: Path, columns: ColumnMap) -> tuple[ManifestRow, ...]:
    """Return the rows of a table without folders of series. Raises ManifestError."""
    try:
        table = import_table(path.read_bytes(), DXA_FIELDS, max_rows=MAX_ROWS, columns=columns)
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from None
    except TableError as error:
        raise ManifestError(error_message(path, error.problems)) from None
    if table.problems:
        raise ManifestError(error_message(path, list(table.problems)))
    return tuple(ManifestRow(row.line, Path(), **row.values) for row in table.rows)


def find_studies(
    root: Path, patients: Iterable[str]
) -> tuple[list[FoundStudy], frozenset[str]]:
    """Return the studies of some patients below a folder, and all PatientIDs there.

    Raises ManifestError where the folder has no DICOM file.
    """
    wanted, known = set(patients), set()
    series = load.find_series(root)
    if not series:
        raise ManifestError(f"{root} has no DICOM file; give the folder of the exported CT")
    studies: defaultdict[str, list[StudySeries]] = defaultdict(list)
    for uid, paths in series.items():
        study = next(filter(None, map(study_uid_of, paths)), uid)
        studies[study].append(StudySeries(uid, paths))
    found = []
    for members in studies.values():
        patient, day = _identity(members)
        known.add(patient)
        if patient in wanted:
            found.append(_best(patient, day, members))
    return found, frozenset(known)


def _identity(members: Sequence[StudySeries]) -> tuple[str, date | None]:
    """Return PatientID and date of a study by the first file that can be read."""
    for member in members:
        read = read_headers(member.paths[:1])
        headers = getattr(read, "headers", ())
        if headers:
            return text_of(headers[0], "PatientID"), examination_date(headers[0])
    return "", None


def _best(patient: str, day: date | None, members: Sequence[StudySeries]) -> FoundStudy:
    ranking = rank(members)
    if not ranking.candidates:
        reasons = {entry.reason.text: None for entry in ranking.entries if entry.reason}
        return FoundStudy(patient, day, None, " ".join(reasons) or "No series.")
    uid = ranking.candidates[0].series_instance_uid
    best = next(member for member in members if member.series_instance_uid == uid)
    return FoundStudy(patient, day, best)


def match(
    rows: Sequence[ManifestRow], studies: Sequence[FoundStudy], known: frozenset[str]
) -> tuple[list[tuple[ManifestRow, FoundStudy]], list[Unused]]:
    """Return each study with the DXA results nearest in time, and what is left over.

    A hip of a study gets one result: of several within three months, the nearest. A result
    for both hips competes with that of one.
    """
    taken: list[tuple[ManifestRow, FoundStudy]] = []
    unused: list[Unused] = []
    for study in studies:
        own = [row for row in rows if row.patient_id == study.patient]
        if study.series is None:
            unused.append(Unused(None, study.patient, NO_SERIES, study.reason))
            continue
        near = []
        for row in own:
            found = date_exclusion([row], required=False, header_date=study.day)
            if found is None:
                near.append(row)
            else:
                unused.append(Unused(row.line, study.patient, *found))
        kept, dropped = _nearest(near, study.day)
        taken += [(row, study) for row in kept]
        text = "Another DXA result of the hip is nearer to this CT."
        unused += [Unused(row.line, row.patient_id, OTHER_DXA, text) for row in dropped]
    with_ct = {study.patient for study in studies}
    unused += [
        Unused(row.line, row.patient_id, NO_CT, _no_ct(row.patient_id, known))
        for row in rows
        if row.patient_id not in with_ct
    ]
    return taken, unused


def _nearest(
    rows: Sequence[ManifestRow], day: date | None
) -> tuple[list[ManifestRow], list[ManifestRow]]:
    def distance(row: ManifestRow) -> float:
        if day is None or row.dxa_date is None:
            return float("inf")
        return abs((row.dxa_date - day).days)

    kept: list[ManifestRow] = []
    dropped: list[ManifestRow] = []
    for row in sorted(rows, key=distance):
        clash = any(None in (row.side, each.side) or row.side == each.side for each in kept)
        (dropped if clash else kept).append(row)
    return kept, dropped


def _no_ct(patient: str, known: frozenset[str]) -> str:
    """Return the reason, with IDs that differ by leading zeros, which spreadsheets remove."""
    alike = sorted(each for each in known if each and each.lstrip("0") == patient.lstrip("0"))
    hint = f" The headers have {', '.join(map(repr, alike))}." if alike else ""
    return f"No CT has the PatientID {patient!r}.{hint}"


def write_join(
    out_dir: Path, taken: Sequence[tuple[ManifestRow, FoundStudy]], unused: Sequence[Unused]
) -> None:
    """Write links, manifest and the list of what was not used."""
    out_dir.mkdir(parents=True, exist_ok=True)
    links = {}
    for _, study in taken:
        if study.series is not None:
            uid = study.series.series_instance_uid
            links[uid] = _link(out_dir / SERIES / uid, study.series.paths)
    with (out_dir / MANIFEST).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for row, study in taken:
            if study.series is not None:
                folder = links[study.series.series_instance_uid].relative_to(out_dir)
                table.writerow(_line(row, study) | {"series_dir": folder})
    with (out_dir / UNUSED).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([each.name for each in fields(Unused)])
        writer.writerows([one.line, one.patient, one.code, one.text] for one in unused)


def _line(row: ManifestRow, study: FoundStudy) -> dict[str, object]:
    return {name: getattr(row, name) for name in COLUMNS} | {"ct_date": study.day}


def _link(folder: Path, paths: Sequence[Path]) -> Path:
    """Link the files of a series into a folder of its own; links of an earlier run are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"{number:05d}": path.absolute() for number, path in enumerate(paths)}
    for name in set(os.listdir(folder)) - set(wanted):
        (folder / name).unlink()
    for name, path in wanted.items():
        link = folder / name
        if not link.is_symlink() or Path(os.readlink(link)) != path:
            link.unlink(missing_ok=True)
            link.symlink_to(path)
    return folder


def summary_lines(
    rows: Sequence[ManifestRow],
    taken: Sequence[tuple[ManifestRow, FoundStudy]],
    unused: Sequence[Unused],
) -> list[str]:
    """Return the counts as lines for the terminal."""
    used = {row.line for row, _ in taken}
    series = {study.series.series_instance_uid for _, study in taken if study.series}
    lines = [
        f"{len(used)} of {len(rows)} lines have a CT: {len(series)} series of "
        f"{len({row.patient_id for row, _ in taken})} patients"
    ]
    counts: defaultdict[str, int] = defaultdict(int)
    for one in unused:
        counts[one.code] += 1
    return [*lines, *(f"  not used, {code}: {count}" for code, count in sorted(counts.items()))]
