import numpy as np
import pytest

from attention_collapse.theory import spectrum
from attention_collapse.theory.spectrum import rank_profile, spherical_rank_profile
from tolerances import FLOAT64

SHARPNESS = np.array([0.2, -0.45])


def test_a_profile_gathers_the_closed_forms():
    profile = rank_profile(SHARPNESS, count=6)
    values = spectrum.singular_values(SHARPNESS, 6)
    np.testing.assert_allclose(profile.singular_values, values / values[0], rtol=FLOAT64)
    assert profile.singular_ratio == pytest.approx(values[1] / values[0], rel=FLOAT64)
    assert profile.stable_rank == spectrum.stable_rank(SHARPNESS)
    assert profile.effective_rank == spectrum.effective_rank(SHARPNESS)
    assert profile.entropy_deficit == spectrum.entropy_deficit(SHARPNESS)


def test_a_mean_enters_the_deficit_alone():
    mean = np.array([1.0, 2.0])
    with_mean, without = rank_profile(SHARPNESS, mean=mean), rank_profile(SHARPNESS)
    assert with_mean.entropy_deficit == spectrum.entropy_deficit(SHARPNESS, mean)
    assert with_mean.entropy_deficit > without.entropy_deficit
    np.testing.assert_array_equal(with_mean.singular_values, without.singular_values)
    assert with_mean.stable_rank == without.stable_rank


def test_a_profile_of_the_sphere_gathers_its_closed_forms():
    profile = spherical_rank_profile(4.0, 3, count=5)
    np.testing.assert_array_equal(
        profile.singular_values, spectrum.spherical_singular_values(4.0, 3, 5)
    )
    assert profile.singular_ratio == pytest.approx(profile.singular_values[1], rel=FLOAT64)
    assert profile.stable_rank == spectrum.spherical_stable_rank(4.0, 3)
    assert profile.effective_rank == spectrum.spherical_effective_rank(4.0, 3)
    assert profile.entropy_deficit == spectrum.spherical_entropy_deficit(4.0, 3)


def test_the_ratio_does_not_need_two_values():
    assert spherical_rank_profile(4.0, 3, count=1).singular_ratio > 0
    assert rank_profile(SHARPNESS, count=1).singular_ratio > 0
