"""Checks of ``doctor`` about what the record has set aside."""

from worker.diagnostics.record_checks import held_diagnostic, withheld_diagnostic


def test_held_content_fails_until_it_is_decided() -> None:
    assert held_diagnostic(0).ok
    held = held_diagnostic(3)
    assert (held.ok, held.detail) == (False, "images held, which another sender changed: 3")
    assert "python -m worker accept UID" in (held.remedy or "")


def test_withheld_results_are_counted_and_never_fail() -> None:
    assert withheld_diagnostic({}).detail == "none"
    withheld = withheld_diagnostic({"SILENT": 4, "REPEATED": 1})
    assert withheld.ok
    assert withheld.detail == "not sent by the screening policy: 1 REPEATED, 4 SILENT"
