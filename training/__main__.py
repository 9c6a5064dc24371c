"""``python -m training``: one function per command, heavy imports inside it."""

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


if __name__ == "__main__":
    app(prog_name="python -m training")
