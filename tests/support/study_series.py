"""Studies of several quick series: a localizer, a sharp and a soft series."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from db.history import StudyHistory
from db.states import SeriesState
from tests.support.quick_series import QuickSeries

Change = Callable[[int, Dataset], None]


@dataclass(frozen=True)
class WrittenStudy:
    """Files of a study by the name of the series."""

    uid: str
    files: Mapping[str, tuple[Path, ...]]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files of all series."""
        return tuple(path for paths in self.files.values() for path in paths)

    def uid_of(self, name: str) -> str:
        """Return the Series Instance UID of a series."""
        return str(dcmread(self.files[name][0], stop_before_pixels=True).SeriesInstanceUID)


def localizer(index: int, ds: Dataset) -> None:
    ds.ImageType, ds.SeriesNumber = ["ORIGINAL", "PRIMARY", "LOCALIZER"], 1


def sharp(index: int, ds: Dataset) -> None:
    ds.ConvolutionKernel, ds.SeriesNumber = "B70f", 2


def soft(index: int, ds: Dataset) -> None:
    ds.ConvolutionKernel, ds.SeriesNumber = "B30f", 4


def projection(index: int, ds: Dataset) -> None:
    ds.ImageType, ds.SeriesNumber = ["DERIVED", "SECONDARY", "MIP"], 5


def unknown_kernel(index: int, ds: Dataset) -> None:
    ds.ConvolutionKernel, ds.SeriesNumber = "", 6


def medium(index: int, ds: Dataset) -> None:
    """Change to the kernel of the best series, in thicker slices by the header."""
    ds.ConvolutionKernel, ds.SeriesNumber, ds.SliceThickness = "B30f", 3, "5"


SERIES: Mapping[str, Change] = {"localizer": localizer, "sharp": sharp, "soft": soft}
SIX_SERIES: Mapping[str, Change] = {
    "localizer": localizer,
    "sharp": sharp,
    "medium": medium,
    "soft": soft,
    "projection": projection,
    "unknown kernel": unknown_kernel,
}


def write_study(
    quick: QuickSeries, folder: Path, series: Mapping[str, Change] = SERIES
) -> WrittenStudy:
    """Write a study of copies of one series, each changed by its function."""
    study = generate_uid()
    files = {
        name: _write_series(quick, folder / name, study, change)
        for name, change in series.items()
    }
    return WrittenStudy(study, files)


def _write_series(
    quick: QuickSeries, folder: Path, study: str, change: Change
) -> tuple[Path, ...]:
    series = generate_uid()
    paths = quick.write(folder)
    for index, path in enumerate(paths):
        ds = dcmread(path)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
        change(index, ds)
        ds.save_as(path)
    return paths


def rewrite(paths: tuple[Path, ...], folder: Path, **elements: str) -> tuple[Path, ...]:
    """Write copies of a series with other elements and the same UIDs."""
    folder.mkdir()
    for path in paths:
        ds = dcmread(path)
        for keyword, value in elements.items():
            setattr(ds, keyword, value)
        ds.save_as(folder / path.name)
    return tuple(sorted(folder.iterdir()))


def soft_study(
    quick: QuickSeries, folder: Path, *, years: int = 0, **elements: str
) -> WrittenStudy:
    """Write a study with one series, ``years`` after the others."""

    def change(index: int, ds: Dataset) -> None:
        soft(index, ds)
        ds.StudyDate = f"{int(ds.StudyDate[:4]) + years}{ds.StudyDate[4:]}"
        for keyword, value in elements.items():
            setattr(ds, keyword, value)

    return write_study(quick, folder, {"soft": change})


def states(history: StudyHistory, study: WrittenStudy) -> dict[str, SeriesState]:
    """Return the state of each series by its name."""
    by_uid = {one.series_instance_uid: one.state for one in history.series}
    return {name: by_uid[study.uid_of(name)] for name in study.files}
