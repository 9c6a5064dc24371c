"""Crops of a simulated cohort.

Covered: a crop rendered alone equals the worker's crop of the whole series, for coronal and
axial series; data set, cached shards, mirrored left hips, femur outline, code checksum.
"""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from training.cohort import dataset
from training.cohort.crops import code_sha256, cut_crop, render_cohort, sample_scans
from training.cohort.planes import outline_of, plane_of, sample_found_femur
from training.simulate import scanner
from training.simulate.acquisition import sample_acquisition
from training.simulate.cohort_plan import plan_cohort
from training.simulate.series import write_series
from training.simulate.subject import sample_subject
from training.simulate.truth import truth
from worker.pipeline import crop, load, select
from worker.pipeline.volume import Series, Volume


@pytest.mark.parametrize(
    ("plane", "thickness"),
    [("coronal", 4.0), pytest.param("axial", 5.0, marks=pytest.mark.slow)],
)
def test_crop_rendered_alone_is_that_of_the_whole_series(
    plane: str, thickness: float, tmp_path: Path
) -> None:
    rng = np.random.default_rng(8)
    subject = sample_subject(rng)
    acquisition = sample_acquisition(
        rng, subject, plane=plane, view="pelvis", thickness_mm=thickness, rows=320
    )
    hip = truth(subject)[0]
    femur = sample_found_femur(rng, hip)

    alone = crop.crop_hip(plane_of(subject, acquisition, femur), femur).pixels

    series = load.read_series(write_series(subject, acquisition, tmp_path))
    assert isinstance(series, Series)
    volume = load.read_volume(series)
    assert isinstance(volume, Volume)
    whole = crop.crop_hip(select.choose_plane(volume, femur), femur).pixels
    # Pixels of a region may differ by 1 HU; axial ones are rounded after reformatting.
    np.testing.assert_allclose(alone, whole, atol=0.3)


def test_data_set_has_one_labelled_hip_a_scan_and_no_patient_in_two_parts(
    tmp_path: Path,
) -> None:
    assert render_cohort(12, 15, 4, tmp_path, workers=1) == 15

    hips = dataset.load(tmp_path)
    assert len({record.scan for record in hips.records}) == 15
    parts: dict[str, set[str]] = {}
    for record in hips.records:
        parts.setdefault(record.patient, set()).add(str(record.part))
    assert len(parts) == 12
    assert all(len(part) == 1 for part in parts.values())
    assert sum(len(hips.part(p).records) for p in ("train", "validation", "test")) == 15  # type: ignore[arg-type]
    # The lateral side, which has less tissue, is on the left of a right hip's crop.
    for picture in hips.pixels.astype(np.float32):
        assert picture[:, :40].mean() < picture[:, -40:].mean()


def test_second_run_renders_nothing(tmp_path: Path) -> None:
    render_cohort(9, 9, 5, tmp_path, workers=1)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "shards").iterdir()}
    pixels = np.load(tmp_path / dataset.PIXELS)
    advanced: list[int] = []

    render_cohort(9, 9, 5, tmp_path, workers=1, advance=advanced.append)

    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "shards").iterdir()} == files
    np.testing.assert_array_equal(np.load(tmp_path / dataset.PIXELS), pixels)
    assert advanced == [9]


def test_outline_lies_on_bone() -> None:
    patient = plan_cohort(3, 6)[0]
    scan = next(sample_scans(patient, 6))
    found = cut_crop(scan)

    inside = outline_of(scan.subject, found, scan.hip.side)

    assert 0.02 < inside.mean() < 0.3
    seen = inside & (found.pixels > 0)  # not below the end of the scan
    assert found.pixels[seen].mean() > found.pixels[~inside & (found.pixels > 0)].mean() + 10


def test_code_checksum_covers_the_simulator_and_its_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[Path] = []
    original = Path.read_bytes

    def record(path: Path) -> bytes:
        read.append(path)
        return original(path)

    monkeypatch.setattr(Path, "read_bytes", record)
    checksum = code_sha256()

    simulator = Path(scanner.__file__).parent
    assert set(read) >= {
        simulator / "scanner.py",
        simulator / "anatomy" / "femur.py",
        simulator / "geometry" / "shapes.py",
        Path(str(crop.__file__)),
        Path(str(load.__file__)),
    }
    content = b"".join(original(path) for path in read)
    assert checksum == hashlib.sha256(content).hexdigest()
