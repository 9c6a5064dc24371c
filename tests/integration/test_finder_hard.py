"""Simulated hips that an earlier finder missed or misplaced, from the accuracy suite.

Covered: a head beside which the first fit ended; worn heads that are found only opposite the
other one. Not covered: rates (tests/bench), real CT (test_real_ct).
"""

import pytest

from tests.bench.finder import HELD_OUT_SEED, run_case
from tests.bench.finder_cases import plan

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("number", [88, 92, 287])
def test_both_hips_are_found_in_their_places(number: int) -> None:
    outcome = run_case(plan(number + 1, HELD_OUT_SEED)[number], None)

    assert [hip.accepted for hip in outcome.hips] == [True, True]
    assert outcome.false_acceptances == outcome.swaps == ()
