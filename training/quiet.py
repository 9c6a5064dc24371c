"""Imports without the messages of TensorFlow.

TensorFlow writes lines about processors and GPUs while it is imported, before it reads
TF_CPP_MIN_LOG_LEVEL, and from C++, so that only the file descriptor can be redirected.
"""

import importlib
import os


def import_quietly(module: str) -> None:
    """Import a module while standard error goes nowhere; its exceptions are raised."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        importlib.import_module(module)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
