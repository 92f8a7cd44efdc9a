import numpy as np
import pytest

from attention_collapse.theory.regimes import Decay, Rate, regime
from attention_collapse.theory.softmax import attention_matrix
from tolerances import FLOAT64

IDENTITY = np.eye(3)
COVARIANCE = np.diag([0.5, 0.3, 0.2])
SKEW = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 2.0], [0.0, -2.0, 0.0]])


def classify(value=IDENTITY, bilinear=IDENTITY, *, normalisation="none", residual="sum", **options):
    settings = {"step": 0.25, "covariance": COVARIANCE} | options
    return regime(value, bilinear, normalisation=normalisation, residual=residual, **settings)


@pytest.mark.claims("tab-regimes")
@pytest.mark.parametrize(
    ("architecture", "value", "scheme", "spread"),
    [
        (("none", "none"), 1, "pure", (Decay.DOUBLY_EXPONENTIAL, 0.5)),
        (("none", "average"), 1, "averaging", (Decay.EXPONENTIAL, -np.log(0.75))),
        (("post", "sum"), 1, "post-norm", (Decay.EXPONENTIAL, np.log(1.25))),
        (("pre", "sum"), 1, "pre-norm", (Decay.POWER, 1.0)),
        (("none", "sum"), -1, "contractive", (Decay.POWER, 0.5)),
        (("none", "sum"), 1, "expansive", (Decay.BLOW_UP, 0.5)),
    ],
)
def test_every_architecture_has_its_regime(architecture, value, scheme, spread):
    normalisation, residual = architecture
    found = classify(float(value) * IDENTITY, normalisation=normalisation, residual=residual)
    assert found.scheme == scheme
    assert found.spread.decay is spread[0]
    assert found.spread.exponent == pytest.approx(spread[1], rel=FLOAT64)


def test_four_quantities_have_four_rates():
    found = classify(normalisation="pre")
    rates = (found.spread, found.variance, found.singular_ratio, found.stable_rank)
    assert rates == tuple(Rate(Decay.POWER, power) for power in (1.0, 2.0, 2.0, 4.0))


def test_an_expansive_cloud_has_no_rank_to_lose_and_a_layer_of_blow_up():
    found = classify()
    assert found.blow_up_layer == pytest.approx(1 / (2 * 0.5 * 0.25), rel=FLOAT64)
    assert found.variance == Rate(Decay.BLOW_UP, 1.0)
    assert found.stable_rank == Rate(Decay.NONE, 0.0)


def test_any_bilinear_form_counts_by_its_symmetric_part():
    """The skew part of B moves no covariance under values that are multiples of the identity."""
    assert classify(-IDENTITY, IDENTITY + SKEW) == classify(-IDENTITY)
    assert classify(IDENTITY, IDENTITY + SKEW).blow_up_layer == pytest.approx(
        classify().blow_up_layer
    )
    assert classify(-IDENTITY, SKEW).limit == "a cloud in the directions that rest"


def test_directions_of_commuting_matrices_decide_one_by_one():
    mixed = classify(np.diag([-1.0, 2.0, -1.0]))
    assert mixed.blow_up_layer == pytest.approx(1 / (2 * 2 * 0.3 * 0.25), rel=FLOAT64)
    assert classify(np.diag([-1.0, -2.0, -1.0])).spread == Rate(Decay.POWER, 0.5)
    assert classify(np.diag([-1.0, 0.0, -1.0])).spread == Rate(Decay.NONE, 0.0)


def test_a_rotation_changes_nothing():
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3))).Q
    bilinear = np.diag([1.0, -0.5, 0.2])
    turned = classify(
        -IDENTITY,
        rotation @ bilinear @ rotation.T,
        covariance=rotation @ COVARIANCE @ rotation.T,
    )
    straight = classify(-IDENTITY, bilinear)
    assert turned.spread == straight.spread
    assert turned.blow_up_layer == pytest.approx(straight.blow_up_layer, rel=10 * FLOAT64)


@pytest.mark.claims("prop-step")
@pytest.mark.parametrize(
    ("value", "normalisation", "residual"),
    [(1, "pre", "sum"), (1, "post", "sum"), (1, "none", "average"), (-1, "none", "sum")],
)
def test_a_stack_scaled_by_depth_does_not_collapse(value, normalisation, residual):
    found = classify(
        float(value) * IDENTITY,
        normalisation=normalisation,
        residual=residual,
        scaled_by_depth=True,
        step=2.0,
    )
    assert found.limit == "a smaller cloud"
    assert found.variance == Rate(Decay.NONE, 0.0)


def test_small_steps_need_only_the_symmetric_part_below_one():
    found = classify(bilinear=9 * SKEW, normalisation="pre", scaled_by_depth=True)
    assert found.limit == "a smaller cloud"


@pytest.mark.parametrize("step", [1.9, 2.1])
def test_a_contractive_layer_overshoots_where_particles_do(step):
    """Variance 1/2 along the first axis: the deviation changes by 1 - step / 2."""
    tokens = np.random.default_rng(0).standard_normal((4000, 3)) @ np.sqrt(COVARIANCE)
    moved = tokens - step * attention_matrix(tokens, bilinear=IDENTITY) @ tokens
    alike = np.corrcoef(tokens[:, 0], moved[:, 0])[0, 1] > 0
    assert alike == (step < 2)
    if alike:
        assert classify(-IDENTITY, step=step).limit == "Dirac"
    else:
        with pytest.raises(ValueError, match="overshoots the mean"):
            classify(-IDENTITY, step=step)


def test_a_short_stack_of_expansion_stays_finite():
    found = classify(scaled_by_depth=True, step=0.5)
    assert found.limit == "a larger cloud"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"normalisation": "pre", "residual": "none"}, "normalisation and residual must be one of"),
        ({"normalisation": "batch"}, "normalisation and residual must be one of"),
        ({"value": SKEW, "normalisation": "pre"}, "positive multiple of the identity"),
        ({"value": -IDENTITY, "normalisation": "pre"}, "positive multiple of the identity"),
        ({"value": 2 * IDENTITY, "residual": "none"}, "must be the identity for the scheme pure"),
        ({"value": SKEW, "normalisation": "pre"}, "got entries up to 2 away from 0 times the id"),
        (
            {"value": -IDENTITY, "step": 2.5},
            "scheme contractive; got 1.25: a longer step",
        ),
        ({"value": np.diag([-9.0, 0.0, -1.0])}, "scheme contractive; got 1.125: a longer step"),
        ({"value": np.eye(0), "bilinear": np.eye(0), "covariance": np.eye(0)}, "one direction"),
        ({"value": SKEW}, "symmetric and commuting"),
        ({"value": np.diag([1.0, 2.0, 3.0]), "bilinear": SKEW}, "symmetric and commuting"),
        ({"bilinear": 3 * IDENTITY, "normalisation": "pre"}, "sharpness must be below 1"),
        ({"bilinear": -8 * IDENTITY, "normalisation": "post"}, "or layers overshoot"),
        ({"bilinear": 9 * SKEW, "normalisation": "pre"}, "or layers overshoot"),
        ({"bilinear": 0 * IDENTITY, "residual": "none"}, "bilinear must not be zero"),
        ({"residual": "average", "step": 1.5}, "step must be at most 1"),
        ({"step": 0.0}, "step must be finite and positive"),
        ({"scaled_by_depth": True, "step": 1.0}, "step must be below 1"),
        (
            {"covariance": -COVARIANCE},
            "covariance must be symmetric with positive.*asymmetry of 0 and a smallest.* of -0.5:",
        ),
        ({"bilinear": np.eye(2)}, "bilinear must end in shape"),
        ({"value": np.ones((3, 2))}, "value must end in shape"),
        ({"bilinear": np.full((3, 3), np.nan)}, "bilinear must be finite"),
    ],
)
def test_what_no_theorem_covers_is_refused(arguments, message):
    positional = [arguments.pop("value", IDENTITY), arguments.pop("bilinear", IDENTITY)]
    with pytest.raises(ValueError, match=message):
        classify(*positional, **arguments)
