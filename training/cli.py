"""Commands of ``python -m training``.

Each command imports TensorFlow and its other modules itself, so that ``--help`` is fast.
"""

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer

if TYPE_CHECKING:
    from training import presets

from training.input_errors import BAD_INPUT, input_errors
from training.quiet import import_quietly

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # they hold weights and identifiers of patients
    help="Train and evaluate grading models for osteoscreen.",
)

Workers = Annotated[int, typer.Option(min=1, help="Number of parallel processes")]
Columns = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        help="TOML file that maps columns and words of the manifest (docs/training.md)"
    ),
]
RequireDates = Annotated[
    bool, typer.Option(help="Exclude series without the dates of both CT and DXA")
]


Preset = Annotated[
    str, typer.Option(help="Name of a table in training/presets.toml, or in --preset-file")
]
PresetFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="TOML file of presets of your own (docs/training.md)"),
]
Epochs = Annotated[
    int,
    typer.Option(min=0, help="Maximum epochs; 0: as in the paper, 500 with early stopping"),
]
Seed = Annotated[
    int, typer.Option(min=0, help="Random seed of weights, order and augmentation")
]
Changes = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", help="KEY=VALUE of the preset; may be given several times"),
]
Initial = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--from", help="Model package whose weights the run starts from"),
]
DataSet = Annotated[Path, typer.Option(help="Data set written by simulate --cohort or prepare")]


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Output folder; created if missing")],
    count: Annotated[int, typer.Option(min=1, max=9999, help="Number of series")] = 3,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed; the same seed gives the same bytes")
    ] = 0,
    plane: Annotated[Literal["coronal", "axial"], typer.Option(help="Slice plane")] = "coronal",
    grade: Annotated[
        Optional[Literal["normal", "osteopenia", "osteoporosis"]],  # noqa: UP045
        typer.Option(help="Grade of every patient; by default the three grades alternate"),
    ] = None,
    condition: Annotated[
        Literal[
            "none",
            "metal",
            "metal-both",
            "osteoarthritis",
            "arms",
            "prone",
            "one-hip",
            "abdomen",
        ],
        typer.Option(help="Condition of the patient, or field of view"),
    ] = "none",
    thickness_mm: Annotated[
        float, typer.Option(min=0, max=10, help="Slice thickness; 0: random")
    ] = 0.0,
    cohort: Annotated[
        bool,
        typer.Option(help="Write the labeled crops of a cohort for fit, without its series"),
    ] = False,
    patients: Annotated[int, typer.Option(min=9, help="Patients of the cohort")] = 2126,
    scans: Annotated[
        int, typer.Option(min=0, help="Scans of the cohort, over all patients")
    ] = 3012,
    workers: Workers = 2,
) -> None:
    """Write simulated CT series (OUT/0001/IM0001.dcm …) with OUT/truth.json and
    OUT/manifest.csv. With --cohort, write a data set for fit instead."""
    from training import progress

    if cohort:
        _simulate_cohort(out, patients, scans, seed, workers)
        return
    with progress.ProgressBars() as bars:
        from training.simulate import command
        from worker.pipeline.results import Grade

        fixed_grade = None if grade is None else Grade(grade)
        plans = [
            command.plan_series(number, seed, plane, fixed_grade, condition, thickness_mm)
            for number in range(1, count + 1)
        ]
        slices = sum(acquisition.slices for _, acquisition in plans)
        with bars.step(f"{count} series, slices", slices) as advance:
            command.simulate(out, plans, lambda done, total: advance(1))
    typer.echo(f"{count} series, truth.json and manifest.csv written to {out}")


def _simulate_cohort(out: Path, patients: int, scans: int, seed: int, workers: int) -> None:
    from training import progress
    from training.cohort.crops import render_cohort

    with progress.ProgressBars() as bars, bars.step("patients", patients) as advance:
        hips = render_cohort(patients, scans, seed, out, workers=workers, advance=advance)
    typer.echo(f"{hips} hips written to {out}")


@app.command()
def prepare(
    manifest: Annotated[
        Path, typer.Argument(help="CSV or XLSX with series_dir, patient_id, t_score, …")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the data set; created if missing")],
    seed: Annotated[int, typer.Option(min=0, help="Key of the split")] = 0,
    require_dates: RequireDates = False,
    columns: Columns = None,
    ignore_header_ids: Annotated[
        bool, typer.Option(help="Accept one PatientID in the headers of several patients")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option(help="Print what was understood of the manifest; write nothing")
    ] = False,
    workers: Workers = 2,
) -> None:
    """Crop the hips of a site's own series and label them with DXA results."""
    from training import progress
    from training.cohort import preview
    from training.cohort.manifest import (
        by_series,
        inspect_manifest,
        read_column_map,
        read_manifest,
    )

    with input_errors():
        column_map = read_column_map(columns)
        if dry_run:
            found = inspect_manifest(manifest, column_map)
            _print(preview.preview_lines(found, require_dates=require_dates))
            raise typer.Exit(BAD_INPUT if found.problems else 0)
        rows = read_manifest(manifest, column_map)
        import_quietly("tensorflow")
        from training.cohort.flow import summary_lines
        from training.cohort.prepare import Options, prepare_data_set

        series = len(by_series(rows))
        with progress.ProgressBars() as bars, bars.step("series", series) as advance:
            flow = prepare_data_set(
                rows, out, workers=workers, advance=advance,
                options=Options(seed, require_dates, ignore_header_ids),
            )  # fmt: skip
    _print(summary_lines(flow, out))


@app.command()
def join(
    table: Annotated[Path, typer.Argument(help="CSV or XLSX with patient_id, t_score, …")],
    dicom: Annotated[Path, typer.Option(help="Folder of the exported CT, of any depth")],
    out: Annotated[Path, typer.Option(help="Folder of the manifest; created if missing")],
    columns: Columns = None,
) -> None:
    """Find the CT of DXA patients in a folder tree by PatientID and write a manifest."""
    from training.cohort import join as joining
    from training.cohort.manifest import read_column_map

    with input_errors():
        rows = joining.read_dxa(table, read_column_map(columns))
        studies, known = joining.find_studies(dicom, {row.patient_id for row in rows})
        taken, unused = joining.match(rows, studies, known)
        joining.write_join(out, taken, unused)
    _print(joining.summary_lines(rows, taken, unused))


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
            data, out, chosen, options=Options(seed, point, from_), command=_command(),
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
        result = cross_validation.cross_validate(
            data, out, _chosen(preset, preset_file, epochs, set_),
            plan=cross_validation.Plan(folds, repeats), options=Options(seed, None, from_),
            command=_command(), progress=bars,
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
        make_ensemble(data, cross_validation, out, command=_command(), progress=bars)
    typer.echo(f"run written to {out}")


@app.command()
def evaluate(
    manifest: Annotated[
        list[Path], typer.Option(help="Manifest of the series; may be given several times")
    ],
    out: Annotated[Path, typer.Option(help="Output folder; created if missing")],
    model: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Model package; by default the shipped one"),
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

    model_dir = model or package.SHIPPED_DIR
    with input_errors(), progress.ProgressBars() as bars:
        column_map = read_column_map(columns)
        rows = [row for path in manifest for row in read_manifest(path, column_map)]
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
    _print(summary_lines(summary))


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
            run, out, measured, _command(), identity=Identity(name, version), force=force
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


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)


def _command() -> str:
    return shlex.join(["python", "-m", "training", *sys.argv[1:]])
