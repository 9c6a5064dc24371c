"""Profile ``--hypothesis-profile=fuzz`` (``make fuzz``): a hundred times more examples."""

from hypothesis import settings

settings.register_profile("fuzz", max_examples=5_000, deadline=None)
