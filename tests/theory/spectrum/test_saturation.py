import math

import pytest

from attention_collapse.theory.spectrum.saturation import saturating_exponential
from tolerances import FLOAT64


def test_it_is_the_exponential_until_it_overflows():
    for logarithm in (-800.0, -1.5, 0.0, 700.0):
        assert saturating_exponential(logarithm) == pytest.approx(math.exp(logarithm), rel=FLOAT64)
    assert saturating_exponential(710.0) == math.inf
