"""The solutions start where they should; the identities check their equations."""

import pytest

from attention_collapse.theory.closed_variance import expanding_variance
from attention_collapse.theory.symbolic import degenerate_diffusion as by_hand
from attention_collapse.theory.symbols import bilinear, contraction, initial_variance, time
from tolerances import FLOAT64


@pytest.mark.parametrize(
    ("solution", "start"),
    [
        (by_hand.variance_over_depth, initial_variance),
        (by_hand.expanding_over_depth, initial_variance),
        (by_hand.mean_over_depth, by_hand.initial_mean),
        (by_hand.characteristic, by_hand.deviation),
    ],
)
def test_a_solution_starts_at_its_initial_value(solution, start):
    assert solution.subs(time, 0) == start


def test_the_expanding_variance_is_the_expression():
    for depth_time in (0.0, 0.4, 0.999):
        values = {initial_variance: 0.5, contraction: 0.8, bilinear: 1.25, time: depth_time}
        found = expanding_variance(0.5, expansion=0.8, bilinear=1.25, depth_time=depth_time)
        expected = float(by_hand.expanding_over_depth.subs(values))
        assert found == pytest.approx(expected, rel=100 * FLOAT64)
