"""Exit codes of ``screen`` and ``rank``."""

SCREENED, SOME_FAILED, BAD_INPUT, ALL_REJECTED = 0, 1, 2, 3
