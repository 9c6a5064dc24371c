"""Packages of a site's own data: name, version, objections and card."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from training.report.gates import objections
from training.report.package import Identity, make_package
from worker.pipeline.model import package
from worker.pipeline.statements import notice

OWN = Identity("city-hips", "1.0")


def own_metrics() -> dict[str, Any]:
    """Return the figures of the shipped model as if it were of patients."""
    metrics: dict[str, Any] = json.loads((package.SHIPPED_DIR / package.METRICS).read_text())
    metrics["training"] |= {"simulated": False, "data": "CT with DXA: 9 scans of 9 patients"}
    metrics["whole_path"]["overlap"] = 3
    return metrics


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return the run of a model of a site's own data."""
    folder = tmp_path / "run"
    shutil.copytree(package.SHIPPED_DIR, folder / "model")
    header = package.verify(package.SHIPPED_DIR) | {"simulated": False}
    (folder / "model" / package.HEADER).write_text(json.dumps(header))
    (folder / "run.json").write_text(json.dumps(own_metrics()))
    return folder


def test_own_model_says_what_it_was_trained_on(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"

    digest = make_package(run, out, own_metrics()["whole_path"], "command", identity=OWN)

    info = package.load(out).info
    assert (info.name, info.version, info.sha256) == ("city-hips", "1.0", digest)
    assert notice(info).startswith("Automatic result")
    card = (out / package.CARD).read_text()
    assert card.startswith("# city-hips 1.0\n")
    assert "never seen a patient" not in card
    assert "simulat" not in card
    assert "further patients" not in card
    assert "**3 of whom it was trained or selected on**" in card
    assert f"SHA-256 of the weights: `{digest}`" in card


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        (Identity(), "needs --name and --version"),
        (Identity("city"), "needs --name and --version"),
        (Identity("osteoscreen", "4.0"), "is the name of a preset"),
    ],
)
def test_own_model_needs_a_name_of_its_own(
    run: Path, tmp_path: Path, identity: Identity, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_package(run, tmp_path / "model", None, "", identity=identity)

    assert not (tmp_path / "model").exists()


def test_a_weak_run_is_refused_with_every_reason(run: Path, tmp_path: Path) -> None:
    metrics = own_metrics()
    metrics["training"]["hips"]["validation"] = 12
    metrics["model"]["temperatures"]["image"] = 7.3891
    measured = metrics["test"]["image"]
    measured["per_grade"]["osteopenia"]["sensitivity"]["value"] = 0.0
    measured["macro_auc"]["low"] = 0.48
    (run / "run.json").write_text(json.dumps(metrics))

    with pytest.raises(ValueError, match="--force packages it") as raised:
        make_package(run, tmp_path / "model", None, "", identity=OWN)

    reasons = str(raised.value).splitlines()[1:-1]
    assert [reason[:44] for reason in reasons] == [
        "the part validation has 12 hips of 345 patie",
        "the temperature 7.3891 (image) is at its bou",
        "the sensitivity for osteopenia (image) is 0 ",
        "the macro AUC (image) may be that of chance:",
    ]


def test_the_shipped_model_has_no_objections() -> None:
    assert objections(own_metrics()) == []


def test_a_run_that_is_not_finished_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no run\.json: fit did not finish"):
        make_package(tmp_path, tmp_path / "model", None, "")
