"""Model packages: folders that are verified before they are loaded.

``model.json``       identity, preprocessing, label order, calibration, checksums, acquisition
                     of the training scans
``weights.npz``      one array a variable, by its path, for a network built from its preset:
                     no pickle, no serialized layers. Of an ensemble, each path begins with
                     the number of the member, and ``model.json`` has ``members``
``familiarity.npz``  out-of-distribution score: mean, whitening and limit; a model without it
                     cannot detect crops unlike its training data
``metrics.json``     measurements on held-out data
``model_card.md``    description for readers: intended use and limits
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
import numpy.typing as npt

from worker.pipeline import crop
from worker.pipeline.acquisition import Envelope
from worker.pipeline.model import weights
from worker.pipeline.model.classify import ImageModel, OutOfDistributionScore
from worker.pipeline.model.explain import compile_ensemble
from worker.pipeline.model.networks import CROP, GRADES
from worker.pipeline.results import ModelInfo

FORMAT = 1
# Raise it with every change of load, select or crop that alters the pixels of a crop.
# 2: parallel cuts through head and neck instead of the slice that is shown (0048).
PREPROCESSING_VERSION = 2
SHIPPED_DIR = Path(__file__).parents[2] / "shipped"

HEADER = "model.json"
WEIGHTS = "weights.npz"
OUT_OF_DISTRIBUTION = "familiarity.npz"
METRICS = "metrics.json"
CARD = "model_card.md"

PREPROCESSING = {
    "version": PREPROCESSING_VERSION,
    "window_center_hu": crop.WINDOW_CENTER_HU,
    "window_width_hu": crop.WINDOW_WIDTH_HU,
    "pixel_mm": crop.CROP_PIXEL_MM,
    "crop_px": crop.CROP_PX,
}


class ModelError(Exception):
    """A model package cannot be used; the message names the cause and the remedy."""


@dataclass(frozen=True, slots=True)
class Description:
    """Identity of a model package."""

    name: str
    version: str
    modality: str
    preset: str
    training_data: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the fit has measured on held-out data, for use with the network.

    ``patient_temperature`` : temperature with demographics, for a model that takes them.
    ``t_score_quantile`` : distance, in scales of its distribution, within which 95 % of the
    validation T-scores lie; None for a model that predicts none. The worker reports no T-score.
    """

    temperature: float = 1.0
    patient_temperature: float | None = None
    t_score_quantile: float | None = None
    out_of_distribution: OutOfDistributionScore | None = None
    envelope: Envelope | None = None


def save(
    model_dir: Path,
    network: keras.Model,
    description: Description,
    *,
    calibration: Calibration = Calibration(),
    metrics: Mapping[str, Any] | None = None,
    card: str = "",
) -> None:
    """Write a package; ``model.json`` comes last, so that an incomplete package does not load.

    Raises ValueError for a network that takes no crop.
    """
    if CROP not in network.input:
        raise ValueError(f"{description.name} sees no picture: the worker cannot use it")
    texts = {METRICS: json.dumps(dict(metrics or {}), indent=1) + "\n", CARD: card}
    arrays = weights.arrays_of(network)
    _write(model_dir, arrays, calibration, texts, _identity(description))


def save_ensemble(
    model_dir: Path,
    members: Sequence[Path],
    description: Description,
    *,
    calibration: Calibration,
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Write one package of several packages of one network, whose probabilities are averaged.

    Raises ModelError for an unusable package, and ValueError for those of several networks.
    """
    headers = [verify(member) for member in members]
    if {header["preset"] for header in headers} != {description.preset}:
        raise ValueError("the members of an ensemble must be of one network")
    arrays = weights.join([member / WEIGHTS for member in members])
    names = ("temperature", "patient_temperature")
    temperatures = [{name: header[name] for name in names} for header in headers]
    texts = {METRICS: json.dumps(dict(metrics or {}), indent=1) + "\n", CARD: ""}
    identity = _identity(description) | {"members": temperatures}
    _write(model_dir, arrays, calibration, texts, identity)


def _identity(description: Description) -> dict[str, Any]:
    """Return the first fields of ``model.json``."""
    return {
        "format": FORMAT,
        **asdict(description),
        "preprocessing": PREPROCESSING,
        "labels": [grade.value for grade in GRADES],
    }


def _write(
    model_dir: Path,
    arrays: Mapping[str, npt.NDArray[Any]],
    calibration: Calibration,
    texts: Mapping[str, str],
    identity: Mapping[str, Any],
) -> None:
    model_dir.mkdir(parents=True, exist_ok=True)
    (model_dir / HEADER).unlink(missing_ok=True)
    np.savez(model_dir / WEIGHTS, **dict[str, Any](arrays))
    _save_score(model_dir / OUT_OF_DISTRIBUTION, calibration.out_of_distribution)
    for name, text in texts.items():
        (model_dir / name).write_text(text)
    files = [name for name in (WEIGHTS, OUT_OF_DISTRIBUTION) if (model_dir / name).exists()]
    header = {
        **identity,
        "temperature": calibration.temperature,
        "patient_temperature": calibration.patient_temperature,
        "t_score_quantile": calibration.t_score_quantile,
        "acquisition": calibration.envelope and asdict(calibration.envelope),
        "sha256": {name: _sha256(model_dir / name) for name in files},
    }
    (model_dir / HEADER).write_text(json.dumps(header, indent=1) + "\n")


def _save_score(path: Path, score: OutOfDistributionScore | None) -> None:
    """Write a score, or remove that of an earlier package."""
    if score is None:
        path.unlink(missing_ok=True)
    else:
        np.savez(path, mean=score.mean, whitening=score.whitening, limit=score.limit)


def verify(model_dir: Path) -> dict[str, Any]:
    """Verify a package without loading it and return its header.

    Raises ModelError as ``load``.
    """
    header = _header(model_dir)
    _check_preprocessing(header)
    _check_files(model_dir, header.get("sha256"))
    return header


def load(model_dir: Path) -> ImageModel:
    """Verify a package, load it and run it once.

    Raises ModelError where a file is missing or altered, or where the model expects crops
    that this version does not make.
    """
    header = _header(model_dir)
    _check_preprocessing(header)
    files = _check_files(model_dir, header["sha256"])
    try:
        members = weights.read_members(model_dir / WEIGHTS, header)
        score = _load_score(model_dir) if OUT_OF_DISTRIBUTION in files else None
        info = ModelInfo(
            name=header["name"],
            version=header["version"],
            modality=header["modality"],
            training_data=header["training_data"],
            sha256=header["sha256"][WEIGHTS],
            simulated=bool(header["simulated"]),
        )
        temperature = float(header["temperature"])
        # Older packages have neither of these two keys.
        with_patient = header.get("patient_temperature")
        patient_temperature = None if with_patient is None else float(with_patient)
        acquisition = header.get("acquisition")
        envelope = None if acquisition is None else Envelope.from_json(acquisition)
    except (AttributeError, KeyError, TypeError, ValueError, OSError, BadZipFile) as error:
        raise ModelError(f"model package {model_dir} cannot be read: {error}") from error
    return ImageModel(
        info,
        compile_ensemble(members),
        temperature,
        score,
        envelope,
        patient_temperature,
    )


def _header(model_dir: Path) -> dict[str, Any]:
    path = model_dir / HEADER
    try:
        header = json.loads(path.read_text())
    except OSError as error:
        raise ModelError(
            f"no model package in {model_dir}: {HEADER} cannot be read ({error.strerror}); "
            "set OSTEOSCREEN_MODEL_DIR to a folder made by `python -m training fit`"
        ) from error
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ModelError(f"{path} is not a model package of format {FORMAT}")
    return header


def _check_preprocessing(header: Mapping[str, Any]) -> None:
    """Raise ModelError unless crops and labels are those that the model was trained on."""
    expected, labels = header.get("preprocessing"), header.get("labels")
    if expected != PREPROCESSING:
        raise ModelError(
            f"the model was trained on crops made by {expected}, this version makes "
            f"{PREPROCESSING}; train it again or use the version of osteoscreen it came with"
        )
    if labels != [grade.value for grade in GRADES]:
        raise ModelError(f"the model's grades are {labels}, expected {[*GRADES]}")


def _check_files(model_dir: Path, checksums: object) -> frozenset[str]:
    """Return the files listed in the header. Raises ModelError where a checksum differs."""
    if not isinstance(checksums, dict) or WEIGHTS not in checksums:
        raise ModelError(f"{model_dir / HEADER} has no checksum of {WEIGHTS}")
    files = frozenset(checksums) & {WEIGHTS, OUT_OF_DISTRIBUTION}
    for name in files:
        try:
            actual = _sha256(model_dir / name)
        except OSError as error:
            raise ModelError(
                f"{model_dir / name} cannot be read: {error.strerror}; copy the package again"
            ) from error
        if actual != checksums[name]:
            raise ModelError(
                f"{model_dir / name} was altered or damaged: SHA-256 {actual}, expected "
                f"{checksums[name]}; copy the package again"
            )
    return files


def _load_score(model_dir: Path) -> OutOfDistributionScore:
    arrays = weights.read_arrays(model_dir / OUT_OF_DISTRIBUTION)
    return OutOfDistributionScore(arrays["mean"], arrays["whitening"], float(arrays["limit"]))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
