"""Program that fits a small preset, for tests that kill it: ``fit_run.py DATA RUN``."""

import sys
from dataclasses import replace
from pathlib import Path

from training import presets, progress
from training.fit.run import Options, fit_and_measure

EPOCHS = 8


class PlainProgress(progress.ProgressBars):
    """Progress bars that print each epoch at once."""

    def print_line(self, text: str) -> None:
        """Print one line and flush it."""
        print(text, flush=True)


def main(data_dir: Path, run_dir: Path) -> None:
    """Fit the clinical network of the paper for ``EPOCHS`` epochs without early stopping."""
    preset = presets.load("paper-clinical").within(EPOCHS)
    preset = replace(preset, fit=replace(preset.fit, early_stop=EPOCHS))
    with PlainProgress() as bars:
        fit_and_measure(data_dir, run_dir, preset, options=Options(), command="", progress=bars)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
