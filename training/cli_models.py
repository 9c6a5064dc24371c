"""Commands that make and measure models: ``fit``, ``cross-validate``, … ``export``.

Each command imports TensorFlow and its other modules itself, so that ``--help`` is fast.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from training.cli_options import (
    Changes,
    Columns,
    DataSet,
    Epochs,
    Initial,
    Preset,
    PresetFile,
    RequireDates,
    Seed,
    Workers,
    app,
    command_line,
    print_lines,
)
from training.input_errors import input_errors
from training.quiet import import_quietly

if TYPE_CHECKING:
    from training import presets


@app.command()
def fit(
    data: DataSet,
    out: Annotated[
        Path, typer.Option(help="Folder of the run; an interrupted run is continued")
    ],
    preset: Preset = "osteoscreen",
    preset_file: PresetFile = None,
    epochs: Epochs = 0,
    seed: Seed = 1,
    set_: Changes = None,
    from_: Initial = None,
    operating_point: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="sensitivity=0.9 or specificity=0.9, for osteoporosis"),
    ] = None,
) -> None:
    """Train a preset, calibrate it and measure it on the held-out patients."""
    import_quietly("tensorflow")
    from training import progress
    from training.evaluate.operating_point import parse
    from training.fit.run import Options, fit_and_measure

    with input_errors(), progress.ProgressBars() as bars:
        chosen = _chosen(preset, preset_file, epochs, set_)
        point = None if operating_point is None else parse(operating_point)
        fit_and_measure(
            data, out, chosen, options=Options(seed, point, from_), command=command_line(),
            progress=bars,
        )  # fmt: skip
    typer.echo(f"run written to {out}")


@app.command()
def cross_validate(
    data: DataSet,
    out: Annotated[
        Path, typer.Option(help="Output folder; an interrupted command is continued")
    ],
    folds: Annotated[int, typer.Option(help="Folds of the patients; at least 3")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="Repeats, each with other folds")] = 1,
    preset: Preset = "osteoscreen",
    preset_file: PresetFile = None,
    epochs: Epochs = 0,
    seed: Seed = 1,
    set_: Changes = None,
    from_: Initial = None,
) -> None:
    """Train and measure k times without the test set, and report the hips out of fold."""
    import_quietly("tensorflow")
    from training import progress
    from training.fit import cross_validation
    from training.fit.run import Options
    from training.report.cross_validation import write_cross_validation

    with input_errors(), progress.ProgressBars() as bars:
        chosen = _chosen(preset, preset_file, epochs, set_)
        plan = cross_validation.Plan(chosen, folds, repeats)
        result = cross_validation.cross_validate(
            data, out, plan,
            options=Options(seed, None, from_), command=command_line(), progress=bars,
        )  # fmt: skip
        page = write_cross_validation(data, out, result)
    typer.echo(f"{len(result['runs'])} runs written to {out}, report to {page}")


@app.command()
def ensemble(
    cross_validation: Annotated[Path, typer.Argument(help="Folder written by cross-validate")],
    data: DataSet,
    out: Annotated[Path, typer.Option(help="Folder of the run; created if missing")],
) -> None:
    """Make one run of all runs of a cross-validation and measure it on the test set."""
    import_quietly("tensorflow")
    from training import progress
    from training.fit.ensemble import make_ensemble

    with input_errors(), progress.ProgressBars() as bars:
        make_ensemble(data, cross_validation, out, command=command_line(), progress=bars)
    typer.echo(f"run written to {out}")


@app.command()
def evaluate(
    manifest: Annotated[
        list[Path], typer.Option(help="Manifest of the series; may be given several times")
    ],
    out: Annotated[Path, typer.Option(help="Output folder; created if missing")],
    model: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Model package; by default the shipped one; none: measure only"),
    ] = None,
    run: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Run that made the model, to count patients it was trained on"),
    ] = None,
    columns: Columns = None,
    require_dates: RequireDates = False,
    workers: Workers = 2,
) -> None:
    """Screen a site's own series with the worker's pipeline and compare with DXA."""
    import_quietly("tensorflow")
    from training import progress
    from training.cohort.manifest import by_series, read_column_map, read_manifest
    from training.evaluate.end_to_end import Options, evaluate_rows, summary_lines
    from training.fit.binding import read_patients
    from worker.pipeline.model import package

    model_dir = None if model == Path("none") else model or package.SHIPPED_DIR
    with input_errors(), progress.ProgressBars() as bars:
        column_map = read_column_map(columns)
        rows = [row for path in manifest for row in read_manifest(path, column_map)]
        options = Options(require_dates=require_dates, parts={})
        if model_dir is not None:
            shipped = package.SHIPPED_DIR
            options = Options(
                require_dates=require_dates,
                parts=read_patients(run or model_dir.parent),
                baseline=None if model_dir.resolve() == shipped.resolve() else shipped,
            )
        with bars.step("series", len(by_series(rows))) as advance:
            summary = evaluate_rows(
                rows, model_dir, out, workers=workers, options=options, advance=advance
            )
    print_lines(summary_lines(summary))


@app.command()
def report(
    data: Annotated[Path, typer.Option(help="Data set that the runs were trained on")],
    run: Annotated[
        list[Path], typer.Option(help="Run written by fit; may be given several times")
    ],
    out: Annotated[Path, typer.Option(help="Folder of report.html and its figures")],
) -> None:
    """Write the tables and figures of the paper for all runs on one split."""
    import_quietly("tensorflow")
    from training.report.report import write_report

    with input_errors():
        path = write_report(data, run, out)
    typer.echo(f"report written to {path}")


@app.command()
def package(
    run: Annotated[Path, typer.Argument(help="Run written by fit")],
    out: Annotated[Path, typer.Option(help="Model directory; created if missing")],
    evaluation: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder written by evaluate; its figures go into the model card"),
    ] = None,
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Name of the model in reports; required for your own data"),
    ] = None,
    version: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Version of the model; required for your own data"),
    ] = None,
    force: Annotated[
        bool, typer.Option(help="Package in spite of objections, which the card then lists")
    ] = False,
) -> None:
    """Make a model directory for the worker from a run."""
    import json

    import_quietly("tensorflow")
    from training.report.package import Identity, make_package

    measured = None
    with input_errors():
        if evaluation is not None:
            measured = json.loads((evaluation / "evaluation.json").read_text())
        digest = make_package(
            run, out, measured, command_line(), identity=Identity(name, version), force=force
        )
    typer.echo(f"model package written to {out}, SHA-256 of its weights {digest}")


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="Model package")],
    out: Annotated[Path, typer.Option(help="Folder of the SavedModel; created if missing")],
) -> None:
    """Write a model package as a SavedModel and compare both."""
    import_quietly("tensorflow")
    from training.report import saved_model

    with input_errors():
        difference = saved_model.export(model, out)
    typer.echo(f"SavedModel written to {out}; it differs by {difference:.1g} at most")


def _chosen(
    name: str, file: Path | None, epochs: int, changes: list[str] | None
) -> "presets.Preset":
    """Return a preset with its budget of epochs and its changes."""
    from training import presets

    preset = presets.load(name) if file is None else presets.load_own(file, name)
    return presets.override(preset.within(epochs), changes or ())
