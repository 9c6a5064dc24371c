"""Commands ``shadow``, ``promote`` and ``rollback`` of a candidate model."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.shell import (
    AsJson,
    operator,
    print_json,
    read_settings,
    require_service_user,
    sessions,
    stop,
)


def shadow(as_json: AsJson = False) -> None:
    """Compare the candidate of OSTEOSCREEN_SHADOW_MODEL_DIR with the live model."""
    from worker.cli.agreement_tables import agreement_tables
    from worker.cli.tables import print_all
    from worker.models import candidate

    with sessions().begin() as session:
        compared = candidate.compare(session)
    if compared is None:
        stop("no predictions of a candidate yet: set OSTEOSCREEN_SHADOW_MODEL_DIR to one")
    model, agreement = compared
    if as_json:
        print_json(
            {
                "model": {
                    "name": model.model_name,
                    "version": model.model_version,
                    "sha256": model.model_sha256,
                },
                **agreement.to_json(),
            }
        )
    else:
        print_all(agreement_tables(model, agreement))


def promote(
    model_dir: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            help="Folder of a model package, by default OSTEOSCREEN_SHADOW_MODEL_DIR.",
        ),
    ] = None,
) -> None:
    """Make a candidate the live model of all workers, from the next series on."""
    settings = read_settings()
    if settings.model_dir is None:
        stop(
            "no worker with these settings would use the model: OSTEOSCREEN_MODEL_DIR is none;"
            " set it to the folder of a model package first",
            code=2,
        )
    folder = model_dir or settings.shadow_model_dir
    if folder is None:
        stop("no model package: name one, or set OSTEOSCREEN_SHADOW_MODEL_DIR", code=2)
    require_service_user(settings, "promote")
    from worker.models import candidate
    from worker.models.demonstration import demonstration_problem
    from worker.pipeline.model.package import ModelError  # TensorFlow: seconds

    try:
        with sessions().begin() as session:
            info = candidate.promote(
                session, settings.spool_dir, folder, actor=operator(), now=datetime.now(UTC)
            )
            if problem := demonstration_problem(settings, info):
                stop(problem, code=2)  # rolls the transaction back
    except ModelError as error:
        stop(str(error), code=2)
    except OSError as error:
        stop(f"the package is not copied to the spool: {error}; the live model stays", code=2)
    print(f"{info.name} {info.version} is live; `python -m worker rollback` undoes it")


def rollback() -> None:
    """Undo the last ``promote``: make the previous model live again."""
    from db import candidates

    with sessions().begin() as session:
        release = candidates.roll_back(session, actor=operator(), now=datetime.now(UTC))
        name = None if release is None else release.model_name
        version = None if release is None else release.model_version
    if release is None:
        stop("nothing to roll back: the model of OSTEOSCREEN_MODEL_DIR is live")
    restored = f"{name} {version}" if name else "the model of OSTEOSCREEN_MODEL_DIR"
    print(f"{restored} is live again")
