"""What the rungs are to reach, on arrays whose errors are known."""

import numpy as np
import pytest

from attention_collapse.experiments import closure_ladder
from attention_collapse.figures.closure_ladder import TITLES
from attention_collapse.figures.ladder_targets import (
    Target,
    deficit_errors,
    ladder_targets,
    reference_readers,
)
from tolerances import (
    FEW_FRAMES,
    FLOAT64,
    GROUPED_DEFICIT,
    GROUPED_RANK,
    PROPAGATED_CORRELATION,
    PROPAGATED_RANK,
)

SHAPE = (2, 3, 4, 5)  # scene, frame count, layer, head
FEW, DILUTED, PROPAGATED = (
    closure_ladder.RUNGS.index(rung) for rung in ("few_frames", "diluted", "propagated")
)


@pytest.fixture
def arrays(ladder):
    """Head 2 of layer 3 reads the reference."""
    arrays = ladder
    arrays["reference_mass"] = np.full(SHAPE, 1 / 8)
    arrays["reference_mass"][:, :, 2, 1] = 0.9
    arrays["reference_mass"][:, 0, 0, 0] = 0.24  # short of twice an eighth
    return arrays


def reached(arrays):
    return np.array([target.reached for target in ladder_targets(arrays, atoms=8)])


def test_the_bounds_are_those_that_were_set(arrays):
    bounds = [target.bound for target in ladder_targets(arrays, atoms=8)]
    assert bounds == [
        GROUPED_DEFICIT,
        GROUPED_RANK,
        *[FEW_FRAMES] * 2,
        *[PROPAGATED_CORRELATION] * 2,
        PROPAGATED_RANK,
    ]


def test_every_target_takes_its_own_rung(arrays):
    expected = [0.04, 0.04, 0.05, 0.06, 1, 1, 0.07]
    np.testing.assert_allclose(reached(arrays), expected, rtol=100 * FLOAT64)


def test_groups_and_propagation_are_judged_where_they_are_worst(arrays):
    arrays["predicted_stable_rank"][3, :, 1] = 1.5 * arrays["stable_rank"][:, 1]
    arrays["predicted_stable_rank"][3, :, 2] = np.nan  # no groups at the most frames
    arrays["predicted_stable_rank"][PROPAGATED, :, 1] *= 2
    found = reached(arrays)
    np.testing.assert_allclose(found[[1, 6]], [0.5, 1.14], rtol=100 * FLOAT64)


def test_frames_that_predict_themselves_are_left_out(arrays):
    before = reached(arrays)
    for name in TITLES:
        arrays[f"predicted_{name}"][PROPAGATED, :, 0] = 1 / arrays[name][:, 0]
    np.testing.assert_allclose(reached(arrays), before, rtol=100 * FLOAT64)
    with pytest.raises(ValueError, match="atoms must be below the most frames, 512, got 512"):
        ladder_targets(arrays, atoms=512)


def test_few_frames_are_judged_by_the_worst_head_of_their_kind_at_the_most_frames(arrays):
    predicted, measured = arrays["predicted_entropy_deficit"], arrays["entropy_deficit"]
    predicted[FEW, 0, 2, 2, 1] = 3 * measured[0, 2, 2, 1]
    predicted[FEW, 1, 2, 3, 4] = 2 * measured[1, 2, 3, 4]
    predicted[DILUTED, 1, 2, 2, 1] = 4 * measured[1, 2, 2, 1]
    predicted[DILUTED, 0, 2, 0, 0] = 6 * measured[0, 2, 0, 0]
    predicted[FEW : DILUTED + 1, :, 1] = 9 * measured[:, 1]
    np.testing.assert_allclose(reached(arrays)[2:4], [1, 3], rtol=100 * FLOAT64)
    errors = deficit_errors(arrays, "few_frames")
    assert errors.shape == SHAPE
    np.testing.assert_allclose(errors[0, 2, 2, 1], 2, rtol=100 * FLOAT64)


def test_readers_pay_more_than_twice_the_even_share(arrays):
    assert np.argwhere(reference_readers(arrays)).tolist() == [[0, 2, 1], [1, 2, 1]]


def test_an_error_is_bounded_from_above_and_a_correlation_from_below():
    assert Target("error", 0.1, 0.1).met
    assert not Target("error", 0.1, 0.2).met
    assert Target("correlation", 0.9, 0.9, least=True).met
    assert not Target("correlation", 0.9, 0.8, least=True).met
