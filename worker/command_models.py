"""``python -m worker shadow | promote | rollback``: a candidate model, tried and put in use."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from worker.operator_shell import AsJson, operator, print_json, read_settings, sessions, stop


def shadow(as_json: AsJson = False) -> None:
    """How far the candidate of OSTEOSCREEN_SHADOW_MODEL_DIR agrees with the live model."""
    from worker import candidate, tables

    with sessions().begin() as session:
        compared = candidate.compare(session)
    if compared is None:
        stop("no candidate was asked yet: name one in OSTEOSCREEN_SHADOW_MODEL_DIR")
    who, agreement = compared
    if as_json:
        print_json(
            {
                "model": {
                    "name": who.model_name,
                    "version": who.model_version,
                    "sha256": who.model_sha256,
                },
                **agreement.to_json(),
            }
        )
    else:
        tables.print_all(tables.agreement_tables(who, agreement))


def promote(
    model_dir: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]", help="A model package; else OSTEOSCREEN_SHADOW_MODEL_DIR."
        ),
    ] = None,
) -> None:
    """Make a candidate the live model of all workers, from their next series on."""
    from worker import candidate
    from worker.package import ModelError

    settings = read_settings()
    folder = model_dir or settings.shadow_model_dir
    if folder is None:
        stop("name a model package, or set OSTEOSCREEN_SHADOW_MODEL_DIR", code=2)
    try:
        with sessions().begin() as session:
            info = candidate.promote(
                session, settings.spool_dir, folder, actor=operator(), now=datetime.now(UTC)
            )
    except ModelError as error:
        stop(str(error), code=2)
    print(f"{info.name} {info.version} is live; `python -m worker rollback` takes it back")


def rollback() -> None:
    """Make the model live again that was before the last ``promote``."""
    from db import candidates

    with sessions().begin() as session:
        release = candidates.roll_back(session, actor=operator(), now=datetime.now(UTC))
        name = None if release is None else release.model_name
        version = None if release is None else release.model_version
    if release is None:
        stop("nothing to roll back: the model of OSTEOSCREEN_MODEL_DIR is live")
    what = f"{name} {version}" if name else "the model of OSTEOSCREEN_MODEL_DIR"
    print(f"{what} is live again")
