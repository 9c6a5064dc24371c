"""Third-party validators and readers for SR, SC and parametric maps, and results to validate.

``python -m tests.validators --count 200`` prints the table of ``docs/validators.md``.
"""
