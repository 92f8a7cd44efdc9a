"""The solutions start where they should; the identities check their equations."""

import sympy

from attention_collapse.theory.symbolic import dirac_rate
from attention_collapse.theory.symbols import initial_cosine, time


def test_a_solution_starts_at_its_initial_value():
    assert sympy.simplify(dirac_rate.logistic_variance.subs(dirac_rate.clock, 0)) == 1
    assert sympy.simplify(dirac_rate.post_norm_cosine.subs(time, 0)) == initial_cosine
    assert dirac_rate.precision.subs(dirac_rate.clock, 0) == dirac_rate.initial_precision
