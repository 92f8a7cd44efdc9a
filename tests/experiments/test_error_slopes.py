import numpy as np
import pytest

from attention_collapse.experiments.error_slopes import error_slopes
from tolerances import FLOAT64

FRAMES = np.array([8, 16, 64])


def test_a_power_of_the_frames_has_its_slope_whatever_the_scene():
    sizes = np.array([[1.0, 2.0, 5.0], [0.3, 1.0, 2.0]])
    slopes = error_slopes(sizes[..., None] * FRAMES**1.5, FRAMES)
    for values in vars(slopes).values():
        np.testing.assert_allclose(values, 1.5, rtol=FLOAT64)


def test_the_interval_covers_the_true_slope_as_often_as_it_says():
    """Forty studies of 24 scenes whose errors scatter independently around the frames."""
    generator = np.random.default_rng(1)
    covered = 0
    for study in range(40):
        scatter = generator.lognormal(-0.02, 0.2, size=(1, 24, 3))
        slopes = error_slopes(scatter * FRAMES, FRAMES, seed=study)
        covered += np.sum((slopes.low < 1) & (slopes.high > 1))
    # 76 of 80 are expected, and five standard errors fewer are 66.
    assert 66 <= covered < 80


def test_scenes_that_are_paired_have_narrow_intervals():
    """Scenes differ by a factor of ten, their growth does not."""
    generator = np.random.default_rng(2)
    size = generator.lognormal(0, 1, size=(2, 24, 1))
    scatter = generator.lognormal(0, 0.02, size=(2, 24, 3))
    slopes = error_slopes(size * scatter * FRAMES, FRAMES)
    assert (slopes.high - slopes.low < 0.1).all()


def test_a_mean_that_is_not_positive_has_no_slope():
    slopes = error_slopes(np.array([[[1.0, -1.0, 4.0]]]), FRAMES)
    for values in vars(slopes).values():
        assert np.isnan(values).all()
    with pytest.raises(ValueError, match="two or more ascending numbers of frames"):
        error_slopes(np.ones((1, 1, 2)), np.array([8, 8]))
