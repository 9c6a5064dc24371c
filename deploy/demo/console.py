"""Console output of the demo."""

from rich.console import Console

console = Console(highlight=False)


def print_done(text: str) -> None:
    """Print a completed step."""
    console.print(f"[green]✓[/] {text}")
