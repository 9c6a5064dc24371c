"""Covered: descriptions of errors whose message may contain patient data."""

from worker.errors import describe, stack_of


def broken_by(value: str) -> Exception:
    try:
        int(value)
    except ValueError as error:
        return error
    raise AssertionError


def test_an_error_is_described_by_class_and_line_without_its_message() -> None:
    error = broken_by("Unmistakable^Person")

    assert "Unmistakable" in str(error)
    assert describe(error).startswith("ValueError in test_errors.py:")
    assert "Unmistakable" not in describe(error) + stack_of(error)
    assert "broken_by" in stack_of(error)


def test_an_error_that_was_never_raised_is_described_by_its_class() -> None:
    assert describe(KeyError("x")) == "KeyError"
