"""The finder and its rules on stress cases, evaluated as in the benchmark.

Covered: the cheap ones of the stress cases. Not covered: the others and the accuracy over many
poses (``python -m tests.bench.finder``).
"""

import pytest

from tests.bench import finder_stress

pytestmark = pytest.mark.slow

# Most of these share one rendered patient.
CHEAP = (
    "trochanters cut off",
    "necks cut off",
    "upper half of the heads cut off",
    "right half in a mirror",
    "pure noise",
    "empty air",
    "table only",
    "shoulders, arms down, woman",
    "nail in the left hip",
    "left femur missing",
    "bone on bone, both sides",
)


@pytest.mark.parametrize("name", CHEAP)
def test_each_hip_is_accepted_or_rejected_as_expected(name: str) -> None:
    assert finder_stress.problems(finder_stress.run_case(name, None)) == []
