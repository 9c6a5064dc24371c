"""Train, validation and test by patient: no patient is in two of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]


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
    """Shares of the patients of each stratum, at least one of each where there are three.

    ``patients``, ``strata`` : one a sample; a patient has one stratum (the patient's grade).
    The paper (Ha 2024) has several scans of one patient and does not say that it grouped them.
    Raises ValueError where a patient has two strata.
    """
    owners, labels = np.asarray(patients), np.asarray(strata)
    unique, first = np.unique(owners, return_index=True)
    stratum_of = dict(zip(unique.tolist(), labels[first].tolist(), strict=True))
    for owner, label in zip(owners.tolist(), labels.tolist(), strict=True):
        if stratum_of[owner] != label:
            raise ValueError(f"patient {owner} is in strata {stratum_of[owner]} and {label}")
    validation: list[int] = []
    test: list[int] = []
    for stratum in sorted(set(stratum_of.values())):
        members = rng.permutation([o for o in unique.tolist() if stratum_of[o] == stratum])
        few = len(members) >= 3
        in_test = max(round(test_share * len(members)), int(few))
        in_validation = max(round(validation_share * len(members)), int(few))
        test += members[:in_test].tolist()
        validation += members[in_test : in_test + in_validation].tolist()
    is_test, is_validation = np.isin(owners, test), np.isin(owners, validation)
    return Split(
        train=np.flatnonzero(~is_test & ~is_validation),
        validation=np.flatnonzero(is_validation),
        test=np.flatnonzero(is_test),
    )
