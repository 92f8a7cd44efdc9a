import math

import pytest
import torch

from attention_collapse.vggt.dense_activation import (
    activate_confidence,
    activate_values,
    inverse_log,
)
from tolerances import FLOAT64

RAW = (-0.3, 0.0, 1.2)
NORM = math.sqrt(0.09 + 1.44)
DEPTH = math.exp(1.2) - 1

VALUES = {
    "exp": [math.exp(y) for y in RAW],
    "inverse_log": [1 - math.exp(0.3), 0.0, DEPTH],
    "xy_inverse_log": [-0.3 * DEPTH, 0.0, DEPTH],
    "norm_exp": [y / NORM * (math.exp(NORM) - 1) for y in RAW],
    "norm": [y / NORM for y in RAW],
    "relu": [0.0, 0.0, 1.2],
    "sigmoid": [1 / (1 + math.exp(-y)) for y in RAW],
    "linear": list(RAW),
}
CONFIDENCES = {
    "one_plus_exp": [1 + math.exp(y) for y in RAW],
    "exp": [math.exp(y) for y in RAW],
    "sigmoid": [1 / (1 + math.exp(-y)) for y in RAW],
}


@pytest.mark.parametrize(("activation", "expected"), VALUES.items(), ids=VALUES)
def test_values(activation, expected):
    raw = torch.tensor([RAW, RAW], dtype=torch.float64)
    found = activate_values(raw, activation)
    expected = torch.tensor([expected, expected], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=FLOAT64)


@pytest.mark.parametrize(("activation", "expected"), CONFIDENCES.items(), ids=CONFIDENCES)
def test_confidence(activation, expected):
    found = activate_confidence(torch.tensor(RAW, dtype=torch.float64), activation)
    expected = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=FLOAT64)


def test_inverse_log_undoes_a_signed_logarithm():
    x = torch.tensor([-40.0, -1e-9, 0.0, 1e-9, 3.0], dtype=torch.float64)
    logarithm = x.sign() * x.abs().log1p()
    torch.testing.assert_close(inverse_log(logarithm), x, rtol=FLOAT64, atol=0)


@pytest.mark.parametrize("activation", ["norm", "norm_exp"])
def test_a_zero_vector_stays_zero(activation):
    zero = torch.zeros(3, dtype=torch.float64)
    assert torch.equal(activate_values(zero, activation), zero)
