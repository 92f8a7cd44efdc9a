"""The still of the spectrum explorer: it draws the numbers it was given."""

import matplotlib
import numpy as np
import pytest

from attention_collapse.figures.spectrum_explorer import (
    draw_spectrum_explorer,
    matrix_profile,
    spectrum_explorer_png,
)
from attention_collapse.theory.spectrum import spherical_rank_profile
from tolerances import FLOAT64

PROFILE = spherical_rank_profile(4.0, 3)
WEIGHTS = np.random.default_rng(0).random((30, 30)) + 0.1
ATTENTION = WEIGHTS / WEIGHTS.sum(axis=1, keepdims=True)


@pytest.fixture
def axes():
    """Panels of the still by their titles; the one without a title has the readouts."""
    with matplotlib.rc_context():
        figure = draw_spectrum_explorer(PROFILE, ATTENTION)
    return {
        each.get_title(loc="left")[:1]: each
        for each in figure.axes
        if each.get_label() != "<colorbar>"
    }


def line(axes, label):
    (found,) = [each for each in axes.lines if each.get_label() == label]
    return found.get_xydata().T


def test_values_are_those_of_the_closed_form_and_of_the_matrix(axes):
    index, values = line(axes["a"], "closed form")
    assert index.tolist() == list(range(1, 26))
    np.testing.assert_array_equal(values, PROFILE.singular_values[:25])
    index, values = line(axes["a"], "sample of 30 tokens")
    expected = np.linalg.svd(ATTENTION, compute_uv=False)
    np.testing.assert_allclose(values, (expected / expected[0])[:25], rtol=0, atol=FLOAT64)


def test_attention_is_drawn_in_octaves_over_uniform(axes):
    (image,) = axes["b"].images
    np.testing.assert_allclose(image.get_array(), np.log2(30 * ATTENTION), rtol=0, atol=FLOAT64)


def test_readouts_are_those_of_both(axes):
    texts = {text.get_text() for text in axes[""].texts}
    for profile in (PROFILE, matrix_profile(ATTENTION)):
        for name in ("singular_ratio", "effective_rank", "stable_rank", "entropy_deficit"):
            assert f"{getattr(profile, name):#.4g}" in texts


def test_matrix_profile_of_known_matrices():
    """Uniform rows have rank one; a permutation has full rank and no entropy."""
    uniform = matrix_profile(np.full((8, 8), 1 / 8))
    assert uniform.effective_rank == pytest.approx(1, abs=FLOAT64)
    assert uniform.stable_rank == pytest.approx(1, abs=FLOAT64)
    assert uniform.entropy_deficit == pytest.approx(0, abs=FLOAT64)
    permutation = matrix_profile(np.eye(8)[::-1])
    assert permutation.singular_ratio == pytest.approx(1, abs=FLOAT64)
    assert permutation.effective_rank == pytest.approx(8, abs=FLOAT64)
    assert permutation.stable_rank == pytest.approx(8, abs=FLOAT64)
    assert permutation.entropy_deficit == pytest.approx(np.log(8), abs=FLOAT64)


def test_png_leaves_the_parameters_of_matplotlib_alone():
    before = {**matplotlib.rcParams}
    assert spectrum_explorer_png(PROFILE, ATTENTION).startswith(b"\x89PNG")
    after = {**matplotlib.rcParams}
    assert {name for name in before if before[name] != after[name]} <= {"backend"}
