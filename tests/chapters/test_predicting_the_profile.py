"""The verdicts, readings and exercises of *Predicting the profile*."""

import numpy as np
import pytest
import sympy

from attention_collapse import records
from attention_collapse.figures.closure_ladder import ladder_errors, layer_correlations
from attention_collapse.figures.predicted_maps import shared_weight
from attention_collapse.theory.reference_dilution import diluted_deficit, diluted_mass
from attention_collapse.theory.spectrum import spherical_entropy_deficit
from tolerances import (
    FEW_FRAMES,
    GROUPED_DEFICIT,
    GROUPED_RANK,
    PROPAGATED_CORRELATION,
    PROPAGATED_RANK,
    quoted,
)

QUANTITIES = ("entropy_deficit", "stable_rank")


@pytest.fixture(scope="module", params=["orbit", "orbit_seed_1"])
def arrays(request):
    """The ladder of two networks."""
    return records.find("closure_ladder", request.param).arrays


@pytest.fixture(scope="module")
def packaged():
    return records.find("closure_ladder", "orbit").arrays


def medians(arrays, quantity, rung):
    return ladder_errors(arrays, quantity)[0][1][list(arrays["rungs"]).index(rung)]


def last_errors(arrays, quantity, rung):
    """By scene, layer and head at the most frames, with their signs."""
    place = list(arrays["rungs"]).index(rung)
    return arrays[f"predicted_{quantity}"][place][:, -1] / arrays[quantity][:, -1] - 1


def readers(arrays):
    """Heads that pay the reference more than twice the even share at the fewest frames."""
    return arrays["reference_mass"][:, 0] * arrays["frames"][0] > 2


def test_groups_of_keys_carry_the_profile(arrays):
    assert (medians(arrays, "entropy_deficit", "mixture") <= GROUPED_DEFICIT).all()
    assert (medians(arrays, "stable_rank", "mixture") <= GROUPED_RANK).all()
    assert (medians(arrays, "stable_rank", "mixture_gaussian") > GROUPED_RANK).all()


def test_few_frames_predict_heads_that_do_not_read_the_reference(arrays):
    errors = np.abs(last_errors(arrays, "entropy_deficit", "few_frames"))
    assert (errors[~readers(arrays)] <= FEW_FRAMES).all()
    assert errors[readers(arrays)].max() > FEW_FRAMES


def test_dilution_predicts_the_others(arrays):
    errors = np.abs(last_errors(arrays, "entropy_deficit", "diluted"))
    assert (errors <= FEW_FRAMES).all()


def test_propagation_is_a_forecast(arrays):
    assert (medians(arrays, "stable_rank", "propagated") <= PROPAGATED_RANK).all()
    for quantity in QUANTITIES:
        layers, heads = layer_correlations(arrays, quantity, rung="propagated")
        assert np.median(layers) >= PROPAGATED_CORRELATION
        assert (heads >= PROPAGATED_CORRELATION).all()


def test_one_correlation_of_the_second_network_misses_where_layers_are_nearly_equal(packaged):
    for quantity in QUANTITIES:
        layers, _ = layer_correlations(packaged, quantity, rung="propagated")
        assert (layers >= PROPAGATED_CORRELATION).all()
    second = records.find("closure_ladder", "orbit_seed_1").arrays
    layers, _ = layer_correlations(second, "entropy_deficit", rung="propagated")
    assert (layers >= PROPAGATED_CORRELATION).all()
    layers, _ = layer_correlations(second, "stable_rank", rung="propagated")
    assert np.argwhere(layers < PROPAGATED_CORRELATION).tolist() == [[1, 2]]
    means = second["stable_rank"][1, 2].mean(axis=-1)
    place = list(second["rungs"]).index("propagated")
    forecast = second["predicted_stable_rank"][place, 1, 2].mean(axis=-1)
    turned = [
        (one, other)
        for one in range(len(means))
        for other in range(one)
        if (means[one] - means[other]) * (forecast[one] - forecast[other]) < 0
    ]
    off = np.abs(forecast - means)
    assert len(turned) == 2
    assert all(abs(means[a] - means[b]) < off[a] + off[b] for a, b in turned)


def test_eight_frames_mend_it():
    four, eight = (
        records.find("closure_ladder", f"orbit_seed_1{atoms}").arrays
        for atoms in ("", "_eight_atoms")
    )
    layers, _ = layer_correlations(eight, "stable_rank", rung="propagated")
    assert (layers >= PROPAGATED_CORRELATION).all()
    errors = [medians(arrays, "stable_rank", "propagated")[-1] for arrays in (eight, four)]
    assert errors[0] < 3 / 4 * errors[1]


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_another_scene_is_a_worse_forecast(arrays, quantity):
    measured = arrays[quantity][:, -1]
    other = np.median(np.abs(np.roll(measured, 1, axis=0) / measured - 1))
    assert medians(arrays, quantity, "propagated")[-1] < other


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_forecast_without_a_term_is_worse(arrays, quantity):
    whole = medians(arrays, quantity, "propagated")
    for term in ("mlp", "frame_attention", "own_norm"):
        assert (medians(arrays, quantity, f"without_{term}") > 1.5 * whole).all()


def test_readings_of_the_packaged_network(packaged):
    share = packaged["reference_mass"][:, 0] * packaged["frames"][0]
    assert not ((share > 1.6) & (share < 3)).any()
    assert readers(packaged).sum(axis=(1, 2)).tolist() == [6, 6]
    assert not readers(packaged)[:, :-2].any()
    assert (last_errors(packaged, "entropy_deficit", "spherical") < 0).all()
    assert last_errors(packaged, "stable_rank", "mixture_gaussian").max() > 1000


def test_what_is_lost_by_layer(packaged):
    names = ("propagated", "without_mlp", "without_frame_attention", "without_own_norm")
    rows = [np.abs(last_errors(packaged, "stable_rank", name)) for name in names]
    whole, mlp, frame = (np.median(row, axis=(0, 2)) for row in rows[:3])
    assert frame[0] > 10 * whole[0]
    assert mlp[1] > 5 * whole[1]
    assert mlp.argmax() == frame.argmax() == len(mlp) - 1
    assert np.median(rows[3]) < min(np.median(row) for row in rows[1:3])


def test_maps_have_most_weight_in_common():
    maps = records.find("heat_maps", "orbit").arrays
    assert maps["maps"].shape[-1] * maps["frames"][-1] == 35328
    assert (np.median(shared_weight(maps), axis=(1, 2, 3)) > 3 / 4).all()


def test_two_halves_leave_the_gaussian_at_the_fourth_power():
    s = sympy.Symbol("s", positive=True)
    laws = (
        (s**2 / 2, sympy.log(sympy.cosh(s)), sympy.Rational(-1, 12)),
        (s**2, sympy.log(1 + sympy.tanh(s) ** 2), sympy.Rational(-7, 6)),
    )
    for gaussian, halves, expected in laws:
        rest = sympy.series(halves - gaussian, s, 0, 6).removeO()
        assert sympy.simplify(rest - expected * s**4) == 0


@pytest.mark.claims("eq-match-sphere")
@pytest.mark.parametrize("dimension", [8, 64])
def test_a_sphere_of_so_many_directions_has_half_the_variance_as_deficit(dimension):
    """Weak scores: the deficit of the matched sphere is half of their variance."""
    sharpness = np.full(dimension, 1e-3)
    concentration = np.sqrt(dimension * (sharpness**2).sum())
    found = spherical_entropy_deficit(concentration, dimension)
    assert found == pytest.approx((sharpness**2).sum() / 2, rel=quoted(2))


@pytest.mark.claims("exercise-diluted-head")
def test_exercise_of_a_diluted_head():
    mass, even = np.array([0.9]), np.zeros(1)
    for frames, share, deficit in ((8, 0.9, 1.560), (16, 0.808, 1.762), (512, 0.110, 0.340)):
        found = diluted_mass(mass, known=8, frames=frames)
        assert found == pytest.approx(share, abs=quoted(3))
        found = diluted_deficit(mass, even, even, known=8, frames=frames)
        assert found == pytest.approx(deficit, abs=quoted(3))


@pytest.mark.claims("exercise-pairs")
def test_exercise_of_a_pair():
    mean = np.exp([0, 6]).mean()
    assert mean == pytest.approx(202.2, abs=quoted(1))
    assert np.exp(3) * np.cosh(3) == pytest.approx(202.2, abs=quoted(1))
    assert np.exp(3 + 9 / 2) == pytest.approx(1808, abs=quoted(0))
    assert 1 + np.tanh(3) ** 2 == pytest.approx(1.990, abs=quoted(3))
    assert (np.exp([0, 12]).mean() / mean**2) == pytest.approx(1.990, abs=quoted(3))
    assert np.exp(9) == pytest.approx(8103, abs=quoted(0))
