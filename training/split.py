"""Train, validation and test by patient: no patient is in two of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]
Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


class LeakError(ValueError):
    """A patient is in two parts, or counts as two strata: figures would be worth nothing."""


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of samples, sorted."""

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
    """Shares of the samples of each stratum, at least one patient where there are three.

    ``patients``, ``strata`` : one a sample; a patient has one stratum (the patient's grade).
    ``validation_share`` : of what is not for testing. Patients are drawn until the share is
    reached; one whose samples would pass it is left for another part.
    The paper (Ha 2024) has several scans of one patient and does not say that it grouped them.
    Raises LeakError where a patient has two strata.
    """
    owners, labels = np.asarray(patients), np.asarray(strata)
    unique, first, counts = np.unique(owners, return_index=True, return_counts=True)
    stratum_of = dict(zip(unique.tolist(), labels[first].tolist(), strict=True))
    samples_of = dict(zip(unique.tolist(), counts.tolist(), strict=True))
    for owner, label in zip(owners.tolist(), labels.tolist(), strict=True):
        if stratum_of[owner] != label:
            raise LeakError(f"patient {owner} is in strata {stratum_of[owner]} and {label}")
    chosen: dict[Part, list[object]] = {"test": [], "validation": []}
    for stratum in sorted(set(stratum_of.values())):
        members = rng.permutation([o for o in unique.tolist() if stratum_of[o] == stratum])
        left = members.tolist()
        few = int(len(left) >= 3)
        shares: tuple[tuple[Part, float], ...] = (
            ("test", test_share), ("validation", validation_share)
        )  # fmt: skip
        for part, share in shares:
            wanted = max(round(share * sum(samples_of[o] for o in left)), few)
            drawn = _draw(left, samples_of, wanted)
            chosen[part] += drawn
            left = [owner for owner in left if owner not in set(drawn)]
    is_test = np.isin(owners, np.array(chosen["test"], owners.dtype))
    is_validation = np.isin(owners, np.array(chosen["validation"], owners.dtype))
    return Split(
        train=np.flatnonzero(~is_test & ~is_validation),
        validation=np.flatnonzero(is_validation),
        test=np.flatnonzero(is_test),
    )


def _draw(owners: Sequence[object], samples: dict[object, int], wanted: int) -> list[object]:
    """Owners in order while their samples fit, one at least where any is wanted."""
    drawn: list[object] = []
    total = 0
    for owner in owners:
        if total + samples[owner] <= wanted or (wanted and not drawn):
            drawn.append(owner)
            total += samples[owner]
    return drawn


def refuse_leak(patients: Sequence[str], parts: Sequence[str]) -> None:
    """Raise LeakError where a patient is in two parts or a part has an unknown name."""
    seen: dict[str, str] = {}
    for patient, part in zip(patients, parts, strict=True):
        if part not in PARTS:
            raise LeakError(f"{part!r} is no part of a split: {', '.join(PARTS)}")
        if seen.setdefault(patient, part) != part:
            raise LeakError(f"patient {patient} is in {seen[patient]} and {part}")
