"""Rules for patients by the settings of a site, and the file of its opt-out list."""

from pathlib import Path

from common.settings.worker import WorkerSettings
from worker.pipeline.validation.patient import PatientRules


def patient_rules(settings: WorkerSettings) -> PatientRules:
    """Return the rules for patients; reads the opt-out list as it is now.

    Raises OSError or UnicodeDecodeError if the list cannot be read: no one is screened then.
    """
    path = settings.opt_out_list
    opted_out = frozenset() if path is None else read_opt_out_list(path)
    return PatientRules(settings.min_age, opted_out)


def read_opt_out_list(path: Path) -> frozenset[str]:
    """Return the Patient IDs of a text file, one a line; lines that begin with # are comments.

    Raises OSError or UnicodeDecodeError.
    """
    lines = (line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    return frozenset(line for line in lines if line and not line.startswith("#"))
