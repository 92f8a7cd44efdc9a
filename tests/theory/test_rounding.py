import numpy as np
import pytest
import sympy
import torch

from attention_collapse.theory.rounding import rounded_square, spacing_of
from attention_collapse.theory.symbolic import measuring_collapse as exact
from tolerances import FLOAT64, GRID_PLACES, sampling


def test_the_function_is_the_expression():
    symbols = (exact.spacing, exact.steps_apart, exact.fraction)
    expression = sympy.lambdify(symbols, exact.rounded_square)
    for spacing, steps, fraction in ((0.5, 0, 0.25), (2.0, 3, 0.75), (1e-3, 7, 0.0)):
        difference = np.array([-1.0, 1.0]) * spacing * (steps + fraction)
        found = rounded_square(difference, spacing=np.array([spacing]))
        np.testing.assert_allclose(found, expression(spacing, steps, fraction), rtol=FLOAT64)


def test_it_is_the_mean_over_all_places_of_a_grid():
    places = np.linspace(0, 1, 2000, endpoint=False)
    for difference in (0.1, 0.5, 1.0, 2.3):
        apart = np.round(places + difference) - np.round(places)
        expected = rounded_square(np.array([difference]), spacing=np.array([1.0]))
        assert np.square(apart).mean() == pytest.approx(expected[0], abs=GRID_PLACES)


def test_a_spacing_is_the_distance_to_the_next_number():
    numbers = np.array([1.0, 1.5, -0.3, 1e-4, 3e4])
    for bits, dtype in ((8, torch.bfloat16), (11, torch.float16), (24, torch.float32)):
        stored = torch.tensor(numbers).abs().to(dtype)
        following = torch.nextafter(stored, torch.full_like(stored, torch.inf))
        expected = (following.double() - stored.double()).numpy()
        np.testing.assert_array_equal(
            spacing_of(stored.double().numpy(), significant_bits=bits), expected
        )


def test_stored_numbers_are_as_far_apart_as_predicted():
    rng = np.random.default_rng(0)
    numbers = rng.uniform(1, 2, 40000)
    for deviation in (1e-5, 1e-3, 1e-2, 0.1):
        pair = numbers + deviation * rng.standard_normal((2, 40000))
        first, second = torch.from_numpy(pair).bfloat16().double().numpy()
        spacing = spacing_of(numbers, significant_bits=8)
        expected = rounded_square(pair[0] - pair[1], spacing=spacing).mean()
        events = 40000 * min(1, deviation / spacing[0])
        assert np.square(first - second).mean() == pytest.approx(expected, rel=5 * sampling(events))


@pytest.mark.parametrize("spacing", [0.0, -1.0, np.inf])
def test_a_spacing_is_positive_and_finite(spacing):
    with pytest.raises(ValueError, match="spacing must be positive and finite"):
        rounded_square(np.array([1.0]), spacing=np.array([spacing]))


def test_differences_are_finite():
    with pytest.raises(ValueError, match="difference must be finite"):
        rounded_square(np.array([np.nan]), spacing=np.array([1.0]))


def test_a_format_has_bits_and_a_number_an_exponent():
    with pytest.raises(ValueError, match="significant_bits must be at least 1, got 0"):
        spacing_of(np.array([1.0]), significant_bits=0)
    with pytest.raises(ValueError, match="numbers must be finite and not zero"):
        spacing_of(np.array([1.0, 0.0]), significant_bits=8)
