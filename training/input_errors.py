"""Errors of the input as messages of the command line."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

BAD_INPUT = 2


@contextmanager
def input_errors() -> Iterator[None]:
    """Print errors of the input without a traceback and exit with code 2."""
    try:
        yield
    except FileNotFoundError as error:
        typer.echo(f"there is no {error.filename}", err=True)
        raise typer.Exit(BAD_INPUT) from error
    except Exception as error:
        # ModelError is imported with TensorFlow, so it is known by its name here.
        if not isinstance(error, ValueError) and type(error).__name__ != "ModelError":
            raise
        typer.echo(str(error), err=True)
        raise typer.Exit(BAD_INPUT) from error
