"""``python -m tests.bench.neck --count N``: measured and simulated attenuation of the neck.

The cases are those of the finder benchmark (``--cache DIR`` keeps their volumes). The reference
is the mean of 5 mm around the middle of the neck, without noise and blur, at the tube voltage
of the scan. Prints a line per hip, then a summary as JSON.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tests.bench.finder_cases import Case, plan, volume_of
from tests.bench.finder_measure import RIGHT_PLACE_MM
from training.simulate.anatomy.femur import neck_attenuation as simulated_attenuation
from training.simulate.truth import truth
from worker.pipeline import select
from worker.pipeline.neck import neck_attenuation
from worker.pipeline.results import NeckAttenuation, NeckNotMeasured
from worker.pipeline.validation import eligibility
from worker.pipeline.validation.rules import first_failure
from worker.pipeline.volume import Orientation


@dataclass(frozen=True, slots=True)
class MeasuredHip:
    """One accepted hip at the correct place; ``true_hu`` is at the tube voltage of the scan."""

    name: str
    plane: Orientation
    true_hu: float
    found: NeckAttenuation | NeckNotMeasured


def measure(case: Case, cache: Path | None) -> Iterator[MeasuredHip]:
    """Measure the hips of one case that would be graded."""
    volume = volume_of(case, cache)
    if case.acquisition.plane == "coronal":
        # With source instances the pipeline uses the slices without reformatting.
        count = len(volume.hu)
        uids = tuple(f"2.25.{number}" for number in range(count))
        volume = replace(volume, source_sop_uids=uids, source_frames=(None,) * count)
    hips = {hip.side: hip for hip in case.subject.hips}
    true_mm = {hip.side: hip.center_mm for hip in truth(case.subject)}
    for femur in select.find_femurs(volume):
        off_mm = np.linalg.norm(np.subtract(femur.center_mm, true_mm[femur.side]))
        if (
            off_mm > RIGHT_PLACE_MM
            or first_failure(eligibility.check_hip(volume, femur)) is not None
        ):
            continue
        kvp = case.acquisition.kvp
        yield MeasuredHip(
            f"{case.name} {femur.side}",
            case.acquisition.plane,
            simulated_attenuation(case.subject, hips[femur.side], kvp),
            neck_attenuation(volume, select.choose_plane(volume, femur), femur),
        )


def summary(hips: list[MeasuredHip]) -> dict[str, float | int]:
    """Return bias and SD of the error in HU, and the correlation."""
    pairs = [
        (hip.true_hu, hip.found.mean_hu, hip.found.sd_hu)
        for hip in hips
        if isinstance(hip.found, NeckAttenuation)
    ]
    if len(pairs) < 3:
        return {"hips": len(hips), "measured": len(pairs)}
    true_hu, found_hu, sd_hu = np.array(pairs).T
    error = found_hu - true_hu
    return {
        "hips": len(hips),
        "measured": len(pairs),
        "bias_hu": round(float(error.mean()), 1),
        "sd_hu": round(float(error.std(ddof=1)), 1),
        "worst_hu": round(float(np.abs(error).max()), 1),
        "correlation": round(float(np.corrcoef(true_hu, found_hu)[0, 1]), 3),
        "sd_within_median_hu": round(float(np.median(sd_hu)), 1),
    }


def main() -> None:
    """Measure; print each hip and a summary as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="folder that keeps the volumes")
    options = parser.parse_args()
    hips: list[MeasuredHip] = []
    for case in plan(options.count, options.seed):
        if "abdomen" in case.tags:
            continue
        for hip in measure(case, options.cache):
            hips.append(hip)
            found = hip.found
            text = (
                f"{found.mean_hu:.0f} ± {found.sd_hu:.0f} HU"
                if isinstance(found, NeckAttenuation)
                else found.text
            )
            print(f"{hip.name}: {text}, true {hip.true_hu:.0f} HU", flush=True)
    planes: tuple[Orientation, Orientation] = ("coronal", "axial")
    summaries = {
        plane: summary([hip for hip in hips if hip.plane == plane]) for plane in planes
    }
    print(json.dumps(summaries, indent=1))


if __name__ == "__main__":
    main()
