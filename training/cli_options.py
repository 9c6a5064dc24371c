"""The command line application and the options that its commands share."""

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Optional

import typer

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


def print_lines(lines: Iterable[str]) -> None:
    """Print lines to standard output."""
    for line in lines:
        typer.echo(line)


def command_line() -> str:
    """Return the command as the model card prints it."""
    return shlex.join(["python", "-m", "training", *sys.argv[1:]])
