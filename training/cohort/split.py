"""Split of a data set into train, validation and test; no patient is in two parts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]
SplitPart = Literal["train", "validation", "test"]
PARTS: tuple[SplitPart, ...] = ("train", "validation", "test")


class LeakError(ValueError):
    """A patient is in two parts or two strata, which would make the test figures invalid."""


@dataclass(frozen=True, slots=True)
class Split:
    """Sorted indices of the samples of each part."""

    train: Indices
    validation: Indices
    test: Indices


def split_by_patient(
    patients: npt.ArrayLike,
    strata: Sequence[str],
    rng: np.random.Generator,
    *,
    validation_share: float,
    test_share: float,
) -> Split:
    """Return shares of the samples of each stratum, split by patient.

    ``patients``, ``strata`` : one per sample; a patient has one stratum (the patient's grade).
    ``validation_share`` : share of the samples that are not for testing.

    Patients are drawn until the share is reached; a patient whose samples would exceed it is
    left for another part. A stratum of three or more patients has at least one in each part.
    The paper (Ha 2024) has several scans per patient and does not say that it grouped them.

    Raises LeakError where a patient has two strata.
    """
    owners, labels = np.asarray(patients), np.asarray(strata)
    unique, first, counts = np.unique(owners, return_index=True, return_counts=True)
    stratum_of = dict(zip(unique.tolist(), labels[first].tolist(), strict=True))
    samples_of = dict(zip(unique.tolist(), counts.tolist(), strict=True))
    _check_strata(owners.tolist(), labels.tolist(), stratum_of)
    chosen: dict[SplitPart, list[object]] = {"test": [], "validation": []}
    for stratum in sorted(set(stratum_of.values())):
        members = rng.permutation([o for o in unique.tolist() if stratum_of[o] == stratum])
        remaining = members.tolist()
        minimum = int(len(remaining) >= 3)
        shares: tuple[tuple[SplitPart, float], ...] = (
            ("test", test_share), ("validation", validation_share)
        )  # fmt: skip
        for part, share in shares:
            count = max(round(share * sum(samples_of[o] for o in remaining)), minimum)
            drawn = _draw(remaining, samples_of, count)
            chosen[part] += drawn
            remaining = [owner for owner in remaining if owner not in set(drawn)]
    is_test = np.isin(owners, np.array(chosen["test"], owners.dtype))
    is_validation = np.isin(owners, np.array(chosen["validation"], owners.dtype))
    return Split(
        train=np.flatnonzero(~is_test & ~is_validation),
        validation=np.flatnonzero(is_validation),
        test=np.flatnonzero(is_test),
    )


def part_of_patient(
    patient: str, seed: int, *, validation_share: float, test_share: float
) -> SplitPart:
    """Return the part of a patient, which depends on nothing but the ID and the seed.

    A keyed hash of the ID is compared with the shares. Other patients, their number and their
    order have no influence, so that a cohort can grow. The shares are met on average only.
    """
    position = hash_position(patient, f"osteoscreen split {seed}")
    if position < test_share:
        return "test"
    if position < test_share + validation_share * (1 - test_share):
        return "validation"
    return "train"


def hash_position(patient: str, key: str) -> float:
    """Return the place of a patient between 0 and 1 (exclusive) by a keyed hash of the ID."""
    digest = hashlib.blake2b(patient.encode(), key=key.encode(), digest_size=8).digest()
    # The upper 53 bits: a quotient of all 64 may be rounded up to 1.
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def _check_strata(
    owners: Sequence[object], labels: Sequence[str], stratum_of: dict[object, str]
) -> None:
    for owner, label in zip(owners, labels, strict=True):
        if stratum_of[owner] != label:
            raise LeakError(f"patient {owner} is in strata {stratum_of[owner]} and {label}")


def _draw(owners: Sequence[object], samples: dict[object, int], count: int) -> list[object]:
    """Return owners in order whose samples fit into ``count``; at least one if it is not 0."""
    drawn: list[object] = []
    total = 0
    for owner in owners:
        if total + samples[owner] <= count or (count and not drawn):
            drawn.append(owner)
            total += samples[owner]
    return drawn


def check_no_leak(patients: Sequence[str], parts: Sequence[str]) -> None:
    """Raise LeakError if a patient is in two parts or a part has an unknown name."""
    seen: dict[str, str] = {}
    for patient, part in zip(patients, parts, strict=True):
        if part not in PARTS:
            raise LeakError(f"{part!r} is not a part of a split; expected {', '.join(PARTS)}")
        if seen.setdefault(patient, part) != part:
            raise LeakError(f"patient {patient} is in {seen[patient]} and {part}")
