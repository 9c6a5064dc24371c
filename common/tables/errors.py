"""Errors of tables."""


class TableError(ValueError):
    """A table cannot be used; ``problems`` has one sentence per problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class UnreadableValue(ValueError):
    """A value cannot be read; the message states what was expected."""


def shorten(problems: list[str], shown: int = 20) -> list[str]:
    """Return the first problems and the number of those left out."""
    hidden = len(problems) - shown
    return [*problems[:shown], *([f"… and {hidden} more"] if hidden > 0 else [])]


def quote(text: str, length: int = 40) -> str:
    """Return a value as it is quoted in a message."""
    return repr(text if len(text) <= length else f"{text[:length]}…")
