"""Checks of the models that the workers load: the live one and the candidate."""

from collections.abc import Iterator
from pathlib import Path

from common.settings.worker import WorkerSettings
from db.candidates import live_release
from db.session import DatabaseError, make_engine, make_sessions
from worker.diagnostics.diagnostic import Diagnostic, first_line
from worker.models.demonstration import demonstration_problem
from worker.pipeline.results import MEASUREMENT

PACKAGE_REMEDY = "correct OSTEOSCREEN_MODEL_DIR, or install the model package again"
PROMOTED_REMEDY = (
    "correct owner and permissions of the folder, `promote` the package again as the user of"
    " the services, or go back: `python -m worker rollback`"
)


def check_models(settings: WorkerSettings) -> Iterator[Diagnostic]:
    """Check the live model, and the candidate if there is one."""
    yield check_live_model(settings)
    if settings.shadow_model_dir is not None:
        remedy = "correct OSTEOSCREEN_SHADOW_MODEL_DIR, or remove it: no worker starts with it"
        yield _check_package("candidate", settings.shadow_model_dir, remedy)


def check_live_model(settings: WorkerSettings) -> Diagnostic:
    """Check the model that the workers use: the last promoted one, else ``MODEL_DIR``."""
    model_dir = settings.model_dir
    try:
        folder = _promoted_folder(settings)
    except DatabaseError:
        if model_dir is None:
            return _no_model()
        model = check_model(model_dir, settings)
        detail = f"{model.detail}; the database does not tell whether another one is live"
        return Diagnostic("model", model.ok, detail, model.remedy)
    if model_dir is None:
        return _no_model(folder)
    if folder is None:
        return check_model(model_dir, settings)
    return _check_package("model", folder, PROMOTED_REMEDY, settings, note=", promoted")


def _no_model(promoted: Path | None = None) -> Diagnostic:
    """Return what is used without a model; no package is read."""
    detail = (
        f"none: measurement only, {MEASUREMENT.name} {MEASUREMENT.version}, no hip is graded"
    )
    unused = "" if promoted is None else f"; the promoted model in {promoted} is not used"
    return Diagnostic("model", True, f"{detail}{unused}")


def check_model(model_dir: Path, settings: WorkerSettings | None = None) -> Diagnostic:
    """Check that the model package loads, its checksums match, and the settings allow it."""
    return _check_package("model", model_dir, PACKAGE_REMEDY, settings)


def _promoted_folder(settings: WorkerSettings) -> Path | None:
    """Return the folder of the promoted model; raises DatabaseError."""
    engine = make_engine(settings.database_url, application_name="osteoscreen doctor")
    try:
        with make_sessions(engine)() as session:
            release = live_release(session)
    finally:
        engine.dispose()
    if release is None or release.folder is None:
        return None
    return settings.spool_dir / release.folder


def _check_package(
    name: str,
    folder: Path,
    remedy: str,
    settings: WorkerSettings | None = None,
    *,
    note: str = "",
) -> Diagnostic:
    from worker.pipeline.model import package  # TensorFlow: takes seconds

    try:
        info = package.load(folder).info
    except package.ModelError as error:
        return Diagnostic(name, False, first_line(error), remedy)
    problem = None if settings is None else demonstration_problem(settings, info)
    if problem is not None:
        return Diagnostic(name, False, problem, "change one of the two settings")
    detail = f"{info.name} {info.version}, SHA-256 {info.sha256[:16]}… in {folder}{note}"
    return Diagnostic(name, True, detail)
