"""Commands of ``python -m training``, in the order of ``--help``."""

from training import cli_data, cli_models
from training.cli_options import app

__all__ = ["app", "cli_data", "cli_models"]
