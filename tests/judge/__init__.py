"""Judges of SR, SC and parametric map that are not ours, and results for them to judge.

``python -m tests.judge --count 200`` prints the table of ``docs/judges.md``.
"""
