"""``python -m tests.bench.finder --count N``: how well femurs are found.

Simulated volumes of every pose, plane, spacing and view (nothing is written to disk: axial
slices go through the loader's own slab means), and real CT where ``OSTEOSCREEN_REALCT`` names
a folder with NIfTI volumes, ``femoral_heads.json`` and ``to_dicom.py``. Prints a line a case,
then per group: detection, centre error, plane error, swaps, false acceptances; JSON last.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.real_ct import CASES, VARIANTS, RealCt
from training.simulate.acquisition import Acquisition, sample_acquisition
from training.simulate.scanner import render, render_volume
from training.simulate.subject import Subject, sample_subject
from training.simulate.truth import HipTruth, truth
from worker.pipeline import eligible, load, select
from worker.pipeline.results import Femur, PointMm, Side, Volume

CONDITIONS = ("none", "none", "none", "osteoarthritis", "prone", "arms", "metal")
VIEWS = (None, None, "pelvis", "one-hip", "abdomen")
RIGHT_PLACE_MM = 10.0


@dataclass(slots=True)
class Tally:
    """What was found in a group of cases; lists hold one number a found hip."""

    volumes: int = 0
    expected: int = 0
    found: int = 0
    wrong: list[str] = field(default_factory=list)
    swapped: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    center_mm: list[float] = field(default_factory=list)
    plane_mm: list[float] = field(default_factory=list)
    neck_mm: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, object]:
        """Rates and percentiles."""

        def spread(values: list[float]) -> list[float]:
            return [round(float(v), 2) for v in np.percentile(values or [0.0], [50, 95, 100])]

        return {
            "volumes": self.volumes,
            "hips_expected": self.expected,
            "detection_rate": round(self.found / max(1, self.expected), 3),
            "center_mm_p50_p95_max": spread(self.center_mm),
            "neck_mm_p50_p95_max": spread(self.neck_mm),
            "plane_mm_p50_p95_max": spread(self.plane_mm),
            "cpu_s_p50_p95_max": spread(self.cpu_s),
            "false_acceptances": self.wrong,
            "left_right_swaps": self.swapped,
            "missed": self.missed,
        }


def acquire(subject: Subject, acquisition: Acquisition) -> Volume:
    """The canonical volume as the loader makes it, without files."""
    if acquisition.plane == "coronal":
        return render_volume(subject, acquisition)
    affine = acquisition.affine()
    thickness = max(1, round(load.PLANE_DISTANCE_MM / float(np.linalg.norm(affine[:3, 1]))))
    slabs = [
        load.slab_means(image.astype(np.float32), thickness)
        for image in render(subject, acquisition)
    ]
    hu = np.rint(np.stack(slabs)).astype(np.int16)
    volume = load.canonical(Volume(hu, affine @ load.slab_grid(thickness, 0)))
    return load.resample_rows(volume, volume.spacing_mm[2])


def whole(volume: Volume, hip: HipTruth) -> bool:
    """Whether the true head, neck and trochanter are in the volume, so must be found."""
    at = Femur(hip.side, hip.center_mm, hip.radius_mm, hip.neck_mm, 1.0)
    return eligible.cut_off(volume, at) is None


def tell(
    tally: Tally,
    name: str,
    volume: Volume,
    heads: dict[Side, PointMm],
    must: set[Side],
    necks: dict[Side, PointMm] | None = None,
) -> tuple[Femur, ...]:
    """Find the femurs of one volume and count them."""
    start = time.process_time()
    femurs = select.find_femurs(volume)
    tally.cpu_s.append(time.process_time() - start)
    accepted = tuple(f for f in femurs if eligible.check_hip(volume, f) is None)
    tally.volumes += 1
    tally.expected += len(must)
    for femur in accepted:
        errors = {
            side: float(np.linalg.norm(np.subtract(femur.center_mm, head)))
            for side, head in heads.items()
        }
        near = min(errors, key=lambda side: errors[side], default=None)
        if near is None or errors[near] > RIGHT_PLACE_MM:
            tally.wrong.append(f"{name} {femur.side}")
        elif near != femur.side:
            tally.swapped.append(f"{name} {femur.side}")
        else:
            tally.center_mm.append(errors[near])
            tally.found += near in must
            if necks:
                tally.neck_mm.append(
                    float(np.linalg.norm(np.subtract(femur.neck_mm, necks[near])))
                )
                share = select.NECK_SHARE
                true = (1 - share) * np.array(heads[near]) + share * np.array(necks[near])
                plane = select.choose_plane(volume, femur)
                offset = plane.index - volume.to_index(true)[0]
                tally.plane_mm.append(abs(float(offset)) * volume.spacing_mm[0])
    tally.missed += [f"{name} {side}" for side in sorted(must - {f.side for f in accepted})]
    return accepted


def simulated(count: int, seed: int, rows: int | None) -> Iterator[tuple[str, Tally]]:
    """Groups coronal and axial, ``count`` volumes together."""
    tallies = {"coronal": Tally(), "axial": Tally()}
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        condition = CONDITIONS[number % len(CONDITIONS)]
        view = VIEWS[int(rng.integers(len(VIEWS)))]
        plane = "axial" if number % 3 == 2 else "coronal"
        subject = sample_subject(rng, condition=condition)
        fixed = {"rows": rows} if rows else {}
        acquisition = sample_acquisition(rng, subject, plane, view, **fixed)
        volume = acquire(subject, acquisition)
        hips = truth(subject)
        must = {hip.side for hip in hips if whole(volume, hip) and not hip.metal}
        name = f"{number} {plane} {view or 'any'} {condition}"
        accepted = tell(
            tallies[plane],
            name,
            volume,
            {hip.side: hip.center_mm for hip in hips if not hip.metal},
            must,
            {hip.side: hip.neck_mm for hip in hips},
        )
        found = "".join(femur.side for femur in accepted) or "-"
        print(f"{name}: expected {''.join(sorted(must)) or '-'}, found {found}", flush=True)
    yield from tallies.items()


def real(folder: Path) -> Tally:
    """Every real volume in every variant of plane, spacing, thickness and order."""
    tally = Tally()
    ct = RealCt(folder)
    for case in CASES:
        for variant in VARIANTS:
            with tempfile.TemporaryDirectory() as directory:
                volume = ct.volume(case, Path(directory), *variant)
            heads = ct.heads_mm(case)
            must = set(heads) if case in ("pelvis_two_hips", "STS_036") else set()
            name = f"{case} {' '.join(variant)}"
            accepted = tell(tally, name, volume, heads, must)
            found = ", ".join(
                f"{f.side} {np.linalg.norm(np.subtract(f.center_mm, heads[f.side])):.1f} mm"
                if f.side in heads
                else f"{f.side} where none is"
                for f in accepted
            )
            print(f"{name}: {found or '-'}", flush=True)
    return tally


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, help="rows of the images, for a faster run")
    options = parser.parse_args()
    results = dict(simulated(options.count, options.seed, options.rows))
    folder = os.environ.get("OSTEOSCREEN_REALCT")
    if folder:
        results["real"] = real(Path(folder))
    print(json.dumps({name: tally.summary() for name, tally in results.items()}, indent=1))


if __name__ == "__main__":
    main()
