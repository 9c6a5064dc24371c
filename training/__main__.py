"""``python -m training``: one function per command, heavy imports inside it."""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The school of osteoscreen.")

# One command would otherwise swallow its own name.
app.callback()(lambda: None)


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
) -> None:
    """Write simulated CT series (OUT/0001/IM0001.dcm …) and OUT/truth.json."""
    from rich.progress import Progress

    from training.simulate import command
    from worker.pipeline.results import Grade

    wanted = None if grade is None else Grade(grade)
    plans = [
        command.plan_series(number, seed, plane, wanted, condition)
        for number in range(1, count + 1)
    ]
    with Progress() as bar:
        task = bar.add_task(f"{count} series", total=None)
        command.simulate(
            out, plans, lambda done, of: bar.update(task, completed=done, total=of)
        )
    typer.echo(f"{count} series and truth.json in {out}")


@app.command()
def fit(
    out: Annotated[Path, typer.Option(help="Folder for crops (cached) and the model package")],
    preset: Annotated[str, typer.Option(help="A table of training/presets.toml")] = "compact",
    patients: Annotated[
        int, typer.Option(min=0, help="Simulated patients; 0: as the preset says")
    ] = 0,
    epochs: Annotated[int, typer.Option(min=0, help="At most; 0: as the preset says")] = 0,
    series: Annotated[
        int, typer.Option(min=-1, help="Whole series to screen; -1: as the preset says")
    ] = -1,
    seed: Annotated[int, typer.Option(min=0, help="Of cohort, split and training")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render")] = 2,
) -> None:
    """Train a model on simulated crops and write OUT/model with its metrics and card."""
    # TensorFlow reads it when it is imported, here and in the processes that screen.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from training import package, presets, progress

    chosen = presets.load(preset).resized(patients, epochs, series)
    command = shlex.join(["python", "-m", "training", *sys.argv[1:]])
    with progress.Bars() as bars:
        model_dir = package.make_package(
            chosen, out, seed=seed, workers=workers, command=command, progress=bars
        )
    typer.echo(f"model package in {model_dir}")


if __name__ == "__main__":
    app(prog_name="python -m training")
