"""``python -m training``: one function per command, heavy imports inside it."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The school of osteoscreen.")

Workers = Annotated[int, typer.Option(min=1, help="Processes that work at once")]
BAD_INPUT = 2


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to write to; made if missing")],
    count: Annotated[int, typer.Option(min=1, max=9999, help="Number of series")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes")] = 0,
    plane: Annotated[Literal["coronal", "axial"], typer.Option()] = "coronal",
    grade: Annotated[
        Optional[Literal["normal", "osteopenia", "osteoporosis"]],  # noqa: UP045
        typer.Option(help="All of one grade; otherwise the three take turns"),
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
        typer.Option(help="What is special about patient or field of view"),
    ] = "none",
    thickness_mm: Annotated[
        float, typer.Option(min=0, max=10, help="Of the slices; 0: varied")
    ] = 0.0,
    cohort: Annotated[
        bool, typer.Option(help="Crops of a whole cohort, without the series, to train on")
    ] = False,
    patients: Annotated[int, typer.Option(min=9, help="Of the cohort")] = 2126,
    scans: Annotated[int, typer.Option(min=0, help="Of the cohort, all together")] = 3012,
    workers: Workers = 2,
) -> None:
    """Write simulated CT series (OUT/0001/IM0001.dcm …) with OUT/truth.json and
    OUT/manifest.csv, or with --cohort a data set that fit reads."""
    from training import progress

    with progress.Bars() as bars:
        if cohort:
            from training.cohort_crops import render_cohort

            with bars.step("patients", patients) as advance:
                made = render_cohort(
                    patients, scans, seed, out, workers=workers, advance=advance
                )
            typer.echo(f"{made} hips in {out}")
            return
        from training.simulate import command
        from worker.pipeline.results import Grade

        wanted = None if grade is None else Grade(grade)
        plans = [
            command.plan_series(number, seed, plane, wanted, condition, thickness_mm)
            for number in range(1, count + 1)
        ]
        slices = sum(acquisition.slices for _, acquisition in plans)
        with bars.step(f"{count} series, slices", slices) as advance:
            command.simulate(out, plans, lambda done, of: advance(1))
    typer.echo(f"{count} series, truth.json and manifest.csv in {out}")


@app.command()
def prepare(
    manifest: Annotated[Path, typer.Argument(help="CSV: series_dir, patient_id, t_score, …")],
    out: Annotated[Path, typer.Option(help="Folder of the data set; made if missing")],
    seed: Annotated[int, typer.Option(min=0, help="Of the split")] = 0,
    require_dates: Annotated[
        bool, typer.Option(help="Leave out series whose three months cannot be checked")
    ] = False,
    workers: Workers = 2,
) -> None:
    """Crop the hips of a site's own series and join them to their DXA results."""
    from training import prepare as preparing
    from training import progress
    from training.manifest import by_series, read_manifest

    with _plain_errors(), progress.Bars() as bars:
        total = len(by_series(read_manifest(manifest)))
        with bars.step("series", total) as advance:
            flow = preparing.prepare(
                manifest, out, workers=workers, seed=seed, require_dates=require_dates,
                advance=advance,
            )  # fmt: skip
    typer.echo(
        f"{flow['series_left']} of {flow['series']} series of {flow['patients_left']} patients "
        f"in {out}; what was left out is in flow.json, flow.png and excluded.csv"
    )


@app.command()
def fit(
    data: Annotated[Path, typer.Option(help="Data set by simulate --cohort or prepare")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an earlier run goes on")],
    preset: Annotated[
        str, typer.Option(help="A table of training/presets.toml")
    ] = "osteoscreen",
    epochs: Annotated[
        int, typer.Option(min=0, help="Budget; 0: as the paper, 500 and early stop")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and augmentation")] = 1,
) -> None:
    """Train a preset, calibrate it and measure it on the held-out patients."""
    _quiet_tensorflow()
    from training import presets, progress, run

    with _plain_errors(), progress.Bars() as bars:
        run.run(
            data, out, presets.load(preset).within(epochs),
            seed=seed, command=_command(), progress=bars,
        )  # fmt: skip
    typer.echo(f"run in {out}")


@app.command()
def evaluate(
    manifest: Annotated[list[Path], typer.Option(help="May be given several times")],
    out: Annotated[Path, typer.Option(help="Folder of the figures; made if missing")],
    model: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Model package; by default the shipped one"),
    ] = None,
    workers: Workers = 2,
) -> None:
    """Screen a site's own series by the worker's own path and compare with DXA."""
    _quiet_tensorflow()
    from training import evaluate as evaluating
    from training import progress
    from training.manifest import by_series, read_manifest
    from worker import package

    with _plain_errors(), progress.Bars() as bars:
        total = sum(len(by_series(read_manifest(path))) for path in manifest)
        with bars.step("series", total) as advance:
            summary = evaluating.evaluate_manifests(
                manifest, model or package.SHIPPED_DIR, out, workers=workers, advance=advance
            )
    for line in evaluating.lines(summary):
        typer.echo(line)


@app.command()
def report(
    data: Annotated[Path, typer.Option(help="The data set that the runs were trained on")],
    run: Annotated[list[Path], typer.Option(help="Runs by fit; give it several times")],
    out: Annotated[Path, typer.Option(help="Folder of report.html and its figures")],
) -> None:
    """Tables and figures of the paper for all runs, on one split."""
    _quiet_tensorflow()
    from training.report import write_report

    with _plain_errors():
        path = write_report(data, run, out)
    typer.echo(f"report in {path}")


@app.command()
def package(
    run: Annotated[Path, typer.Argument(help="A run by fit")],
    out: Annotated[Path, typer.Option(help="Model directory; made if missing")],
    evaluation: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder by evaluate: the whole path, for the card"),
    ] = None,
) -> None:
    """Make a model directory for the worker out of a run."""
    _quiet_tensorflow()
    import json

    from training import package as packaging

    measured = None
    with _plain_errors():
        if evaluation is not None:
            measured = json.loads((evaluation / "evaluation.json").read_text())
        packaging.make_package(run, out, measured, _command())
    typer.echo(f"model package in {out}")


def _command() -> str:
    return shlex.join(["python", "-m", "training", *sys.argv[1:]])


def _quiet_tensorflow() -> None:
    """It reads this when it is imported, here and in the processes that are started."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Errors of the input in words, exit code 2."""
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(BAD_INPUT) from error


if __name__ == "__main__":
    app(prog_name="python -m training")
