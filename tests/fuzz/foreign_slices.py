"""Series with slices that hold no image, or pixels that belong elsewhere."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

import numpy as np
from scipy import ndimage

from tests.fuzz.routes import bounded
from tests.support.ct_volume import AXIAL, CORONAL, Point, write_ct
from tests.support.slices import Hu, body_slices
from worker.pipeline.load import read_series, read_volume
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.results import Rejected
from worker.pipeline.validation.eligibility import check_series, check_volume
from worker.pipeline.validation.rules import first_failure

COUNT, SIZE = 16, 96
AIR_HU = -1000
# The codes of rules for pixels; anything else would be an untrue reason.
CODES = (ReasonCode.GAPS, ReasonCode.NOT_CT)

Alteration = Callable[[Random, Hu, int], dict[int, Hu]]
"""Return altered slices by index, of a series and the index of one slice."""


def constant(rng: Random, hu: Hu, at: int) -> dict[int, Hu]:
    """One to three slices of one value."""
    value = rng.choice((AIR_HU, -1024, 0, 40, 1_000, 3_071))
    last = min(at + rng.randint(1, 3), len(hu) - 2)
    return {index: np.full_like(hu[0], value) for index in range(at, max(at + 1, last))}


def foreign(rng: Random, hu: Hu, at: int) -> dict[int, Hu]:
    """A slice of another patient, of noise, or of a pattern."""
    random = np.random.default_rng(rng.getrandbits(32))
    kind = rng.randrange(3)
    if kind == 0:
        return {at: body_slices(1, SIZE, seed=rng.randrange(100, 999))[0]}
    if kind == 1:
        return {at: random.integers(-1024, 1500, hu[0].shape, np.int16)}
    stripes = np.indices(hu[0].shape)[rng.randrange(2)] // rng.choice((8, 16, 32)) % 2
    return {at: np.asarray(np.where(stripes, 60, AIR_HU), np.int16)}


def moved(rng: Random, hu: Hu, at: int) -> dict[int, Hu]:
    """Two slices at a distance that have each other's pixels, or one that is there twice."""
    other = rng.choice([i for i in range(2, len(hu) - 2) if abs(i - at) >= 5])
    both = {at: hu[other], other: hu[at]}
    return both if rng.random() < 0.5 else {at: hu[other]}


def neighbors(rng: Random, hu: Hu, at: int) -> dict[int, Hu]:
    """Two adjacent slices that have each other's pixels."""
    return {at: hu[at + 1], at + 1: hu[at]}


def mirrored(rng: Random, hu: Hu, at: int) -> dict[int, Hu]:
    """A slice with its rows or columns in reverse order."""
    return {at: np.flip(hu[at], rng.randrange(2))}


def scaled(rng: Random, hu: Hu, at: int) -> dict[int, Hu]:
    """A slice of another scale or intercept."""
    factor, offset = rng.choice(((0.5, 0), (2.0, 0), (1.0, 1_024), (1.0, -300), (0.1, 0)))
    return {at: np.asarray(np.clip(hu[at] * factor + offset, -1024, 3071), np.int16)}


def shifted(rng: Random, hu: Hu, at: int) -> dict[int, Hu]:
    """A slice that is turned by 90°, or shifted by some pixels."""
    if rng.random() < 0.5:
        return {at: np.rot90(hu[at], rng.choice((1, 3)))}
    return {at: np.roll(hu[at], rng.choice((-20, 20, 40)), rng.randrange(2))}


def round_body(rng: Random, hu: Hu, at: int) -> dict[int, Hu]:
    """A body that begins or ends within the series, beside up to 3 slices of air.

    Its widest slice is the last or the first: slices on both sides of it resemble each other.
    """
    reach = len(hu) - rng.randint(0, 3)
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    far = np.hypot(x / 0.9, y / 0.6)
    widths = [max(0.0, 1 - (i / reach) ** 2) ** 0.5 for i in range(len(hu))]
    if rng.random() < 0.5:
        widths.reverse()
    inside = [((width - far) * SIZE / 6 + 0.5).clip(0, 1) for width in widths]
    return {
        i: (AIR_HU + (hu[i] - float(AIR_HU)) * inside[i]).astype(np.int16)
        for i in range(len(hu))
    }


def unchanged(rng: Random, hu: Hu, at: int) -> dict[int, Hu]:
    """A valid series."""
    return {}


DEFINITE: Mapping[str, Alteration] = {
    "constant slices": constant,
    "foreign slices": foreign,
    "slices moved": moved,
}
"""Alterations that a rule must find."""
OTHERS: Mapping[str, Alteration] = {
    "neighbors exchanged": neighbors,
    "mirrored": mirrored,
    "scaled": scaled,
    "turned or shifted": shifted,
}
"""Alterations that resemble a valid slice in some bodies; those found are counted."""
VALID: Mapping[str, Alteration] = {
    "unchanged": unchanged,
    "round body": round_body,
}
ALTERATIONS = {**DEFINITE, **OTHERS, **VALID}


def body(seed: int) -> Hu:
    """Return slices of a body whose organs are 10 slices long and have the HU of muscle."""
    organs = ndimage.zoom(body_slices(COUNT // 2, SIZE, noise_hu=0, seed=seed), (2, 1, 1))
    organs = np.where(organs > -500, 60 + (organs - 30).clip(-240, 240) / 1.6, -1000)
    organs = ndimage.gaussian_filter(organs, (0, 1.5, 1.5))  # as a scanner blurs edges
    noise = np.random.default_rng(seed).normal(0, 10, organs.shape)
    return np.asarray(np.clip(organs + noise, -1024, 3071), np.int16)


class ForeignSlices:
    """Small series with one alteration each, read and checked as the worker does."""

    name = "foreign slices"

    def __init__(self, folder: Path) -> None:
        self._series = [
            _Base(folder / f"{seed} {plane}", body(seed), directions)
            for seed in range(3)
            for plane, directions in (("coronal", CORONAL), ("axial", AXIAL))
        ]
        self.counts: Counter[str] = Counter()

    def feed(self, rng: Random) -> None:
        base, kind = rng.choice(self._series), rng.choice(list(ALTERATIONS))
        altered = ALTERATIONS[kind](rng, base.hu, rng.randrange(2, COUNT - 3))
        with base.replaced(altered) as paths, bounded(kind):
            code = _code(paths)
        noticed = code in CODES
        assert noticed or code is None, f"{kind}: {code}"
        assert noticed or kind not in DEFINITE, f"{kind} of {sorted(altered)}: accepted"
        # The few organs of a body that is cut away have other HU than tissue at times.
        assert code is not ReasonCode.GAPS or kind not in VALID, f"{kind}: {code}"
        self.counts[kind] += 1
        self.counts[f"{kind}, found"] += noticed

    def end(self) -> None:
        for base in self._series:
            base.check()


class _Base:
    """The files of a valid series."""

    def __init__(self, folder: Path, hu: Hu, directions: tuple[Point, Point]) -> None:
        self.hu = hu
        self._paths = write_ct(folder, hu, directions=directions, spacing=(3.0, 3.0))
        self._files = [path.read_bytes() for path in self._paths]

    @contextmanager
    def replaced(self, altered: Mapping[int, Hu]) -> Iterator[list[Path]]:
        """Replace slices; the valid files are there again at the end."""
        for index, hu in altered.items():
            old, new = ((each + 1024).astype("<i2").tobytes() for each in (self.hu[index], hu))
            self._paths[index].write_bytes(self._files[index].replace(old, new))
        yield self._paths
        for index in altered:
            self._paths[index].write_bytes(self._files[index])

    def check(self) -> None:
        """Check that the files are those of the valid series."""
        assert [path.read_bytes() for path in self._paths] == self._files


def _code(paths: list[Path]) -> ReasonCode | None:
    """Return the reason for which a series is rejected before its femurs are searched."""
    series = read_series(paths)
    if isinstance(series, Rejected):
        return series.reason.code
    failed = first_failure(check_series(series))
    if failed is not None:
        return failed.code
    volume = read_volume(series)
    if isinstance(volume, Rejected):
        return volume.reason.code
    failed = first_failure(check_volume(volume))
    return None if failed is None else failed.code
