"""``weights.npz``: one array a variable, by its path; of an ensemble, by ``NUMBER/path``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from worker.pipeline.model.explain import Member
from worker.pipeline.model.networks import build

Arrays = dict[str, npt.NDArray[Any]]


def arrays_of(network: keras.Model) -> Arrays:
    """Return the variables of a network by path."""
    return {variable.path: np.asarray(variable.numpy()) for variable in network.weights}


def join(paths: Sequence[Path]) -> Arrays:
    """Return the weights of the members of an ensemble, each path after the member's number."""
    return {
        f"{number}/{name}": array
        for number, path in enumerate(paths)
        for name, array in read_arrays(path).items()
    }


def set_weights(network: keras.Model, path: Path) -> None:
    """Set all variables. Raises ValueError where names or shapes differ.

    Keras' own loader only warns where it finds no weights.
    """
    _assign(network, read_arrays(path), path.name)


def read_members(path: Path, header: Mapping[str, Any]) -> tuple[Member, ...]:
    """Return the networks of a verified package; a package of one network has one member.

    ``header`` : ``model.json``. Raises ValueError for the weights of another network.
    """
    if "members" not in header:
        network = build(header["preset"])
        set_weights(network, path)
        return (Member(network),)
    stored = read_arrays(path)
    members = []
    for number, one in enumerate(header["members"]):
        prefix, network = f"{number}/", build(header["preset"])
        own = {n.removeprefix(prefix): a for n, a in stored.items() if n.startswith(prefix)}
        _assign(network, own, f"{path.name}, member {number},")
        patient_temperature = one["patient_temperature"]
        members.append(
            Member(
                network,
                float(one["temperature"]),
                1.0 if patient_temperature is None else float(patient_temperature),
            )
        )
    return tuple(members)


def read_arrays(path: Path) -> Arrays:
    """Return all arrays of a file, without unpickling."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _assign(network: keras.Model, stored: Mapping[str, npt.NDArray[Any]], name: str) -> None:
    expected = {variable.path: variable.shape for variable in network.weights}
    if {path: array.shape for path, array in stored.items()} != expected:
        raise ValueError(f"{name} holds the weights of another network")
    for variable in network.weights:
        variable.assign(stored[variable.path])
