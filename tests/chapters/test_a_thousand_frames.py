"""The statements, verdicts and exercises of *A thousand frames*."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from attention_collapse import records
from attention_collapse.experiments.closed_forms import gaussian_distance_from_rank_one
from attention_collapse.theory import frames as dilution
from attention_collapse.theory import spectrum, windows
from attention_collapse.theory.long_context import crossover_tokens
from attention_collapse.theory.softmax import attention_matrix
from attention_collapse.theory.symbolic import a_thousand_frames as exact
from attention_collapse.theory.symbols import key, sharpness
from tolerances import (
    ENTROPY_SLOPE,
    EVEN_MASS,
    FITTED_SLOPE,
    FLOAT64,
    MEAN_OF_DRAWS,
    NESTED_QUADRATURE,
    RECORDED_FORM,
    RECORDED_RATIO,
    RECORDED_WINDOW,
    SETTLED_FRAMES,
    quoted,
)

WINDOWS = {"matches": 4, "tokens_per_frame": 25, "match_score": 6.0}


def softmax(scores):
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def statistics(attention):
    """Entropy deficit, squared norm and N |pi|^2."""
    count = len(attention)
    deficit = math.log(count) + (attention * np.log(attention)).sum(axis=-1).mean()
    mean_row = count * np.square(attention.mean(axis=0)).sum()
    return np.array([deficit, np.square(attention).sum(), mean_row])


# Bounded scores


@pytest.mark.claims("prop-bounded", "eq-bounded")
@given(count=st.integers(1, 12), bound=st.floats(0, 6), seed=st.integers(0, 2**31))
def test_bounded_scores_bound_every_statistic(count, bound, seed):
    draws = np.random.default_rng(seed).choice([-1, 1, 0.3], (count, count))
    attention = softmax(bound * draws)
    room = 1 + 10 * FLOAT64
    assert math.exp(-2 * bound) / room <= count * attention.min()
    assert count * attention.max() <= math.exp(2 * bound) * room
    deficit, energy, mean_row = statistics(attention)
    assert deficit <= 2 * bound + 10 * FLOAT64
    assert energy <= math.exp(2 * bound) * room
    assert 1 - mean_row / energy <= 1 - math.exp(-2 * bound) + 10 * FLOAT64


# Frames are samples


def drawn_frames(count, rng, *, per_frame=6):
    """Frames on a circle: a place each, and tokens within a third of it."""
    places = rng.uniform(0, 2 * np.pi, (count, 1))
    angles = places + rng.uniform(-1, 1, (count, per_frame))
    return np.stack([np.cos(angles.ravel()), np.sin(angles.ravel())], axis=1)


@pytest.mark.claims("thm-frames", "eq-relative-weight", "eq-frame-limits")
def test_many_frames_reach_the_integrals_like_one_over_root_s():
    """The law of a token is even on the circle, so w(x, y) = exp(k cos) / I_0(k)."""
    strength, rng = 1.5, np.random.default_rng(1)
    mean = quad(lambda t: math.exp(strength * math.cos(t)), 0, 2 * np.pi)[0] / (2 * np.pi)
    square = quad(lambda t: math.exp(2 * strength * math.cos(t)), 0, 2 * np.pi)[0] / (2 * np.pi)
    slope = quad(lambda t: math.cos(t) * math.exp(strength * math.cos(t)), 0, 2 * np.pi)[0]
    deficit = strength * slope / (2 * np.pi) / mean - math.log(mean)
    limits = np.array([deficit, square / mean**2, 1.0])
    counts, errors = np.array([8, 16, 32, 64, 128]), []
    for count in counts:
        found = [
            statistics(attention_matrix(drawn_frames(count, rng), bilinear=strength * np.eye(2)))
            for _ in range(40)
        ]
        errors.append(np.sqrt(np.square(np.array(found) - limits).mean(axis=0)))
    slopes = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert (slopes < -0.5 + FITTED_SLOPE).all()
    assert (errors[-1] < 0.1 * limits).all()


def test_more_tokens_in_a_frame_do_not_help():
    rng, scatter = np.random.default_rng(2), []
    for per_frame in (4, 32):
        clouds = [drawn_frames(16, rng, per_frame=per_frame) for _ in range(60)]
        energies = [statistics(attention_matrix(c, bilinear=1.5 * np.eye(2)))[1] for c in clouds]
        scatter.append(np.std(energies))
    assert scatter[1] > 0.5 * scatter[0]


# Independent tokens


@pytest.mark.claims("eq-gaussian-integral", "prop-gaussian-distance", "eq-gaussian-distance")
@pytest.mark.parametrize("value", [0.1, 0.4, 0.65])
def test_distance_of_gaussian_attention_is_the_quotient_of_two_integrals(value):
    def normal(function):
        return quad(lambda x: function(x) * math.exp(-x * x / 2), -40, 40)[0] / math.sqrt(
            2 * math.pi
        )

    def received(y):
        return normal(lambda x: math.exp(value * x * y - value**2 * x**2 / 2))

    at = 0.7
    symbolic = float(exact.received.subs({sharpness: value, key: at}))
    assert symbolic == pytest.approx(received(at), rel=NESTED_QUADRATURE)
    mean_row = normal(lambda y: received(y) ** 2)
    energy = normal(lambda x: math.exp(value**2 * x**2))
    law = 1 - math.sqrt((1 - 2 * value**2) / (1 - value**4))
    assert law == pytest.approx(1 - mean_row / energy, rel=NESTED_QUADRATURE)
    assert gaussian_distance_from_rank_one(np.array([value])) == pytest.approx(law, rel=FLOAT64)
    quotient = (exact.received_square / exact.weight_square).subs(sharpness, value)
    assert 1 - float(quotient) == pytest.approx(law, rel=10 * FLOAT64)


# Windows


def points_in_windows(frames, rng, *, directions=12, matches=4, per_frame=10):
    points = rng.standard_normal((frames // matches, per_frame, directions))
    points /= np.linalg.norm(points, axis=-1, keepdims=True)
    return np.repeat(points, matches, axis=0).reshape(-1, directions)


@pytest.mark.claims("prop-windows", "eq-window-mass", "eq-window-energy", "eq-window-rise")
@pytest.mark.parametrize("frames", [20, 60, 120])
def test_points_in_windows_follow_the_dilution_of_shares_and_squares(frames):
    score, rng = 4.0, np.random.default_rng(3)
    mean, square = windows.sphere_weights(score, 12)
    attention = softmax(score * (cloud := points_in_windows(frames, rng)) @ cloud.T)
    same = np.isclose(cloud @ cloud.T, 1)
    diluted = dilution.dilution_frames(4, 10, score, other_weight=mean)
    share = (diluted + 4 / 10) / (frames + diluted)
    assert (attention * same).sum(axis=-1).mean() == pytest.approx(share, rel=MEAN_OF_DRAWS / 3)
    law = windows.window_energy(
        frames, matches=4, tokens_per_frame=10, match_score=score,
        other_weight=mean, other_square=square,
    )  # fmt: skip
    _, energy, mean_row = statistics(attention)
    assert energy == pytest.approx(law, rel=MEAN_OF_DRAWS)
    assert energy / mean_row == pytest.approx(law, rel=MEAN_OF_DRAWS)


@pytest.mark.claims("eq-window-ratio")
def test_the_second_singular_value_keeps_matches_and_content():
    score, rng = 4.0, np.random.default_rng(4)
    mean, _ = windows.sphere_weights(score, 12)
    diluted = dilution.dilution_frames(4, 10, score, other_weight=mean)
    content = spectrum.decay_ratio(np.array([score / 12]))[0]
    for frames in (12, 120):
        cloud = points_in_windows(frames, rng)
        values = np.linalg.svd(softmax(score * cloud @ cloud.T), compute_uv=False)
        share = dilution.second_eigenvalue(frames, diluted)
        law = share + (1 - share) * content
        assert law < values[1] / values[0] < (1 + RECORDED_RATIO) * law


# Verdict: what the records say


@pytest.fixture(scope="module")
def profile():
    parts = [
        records.find("rank_profile", name).arrays
        for name in ("to_200_frames", "at_500_frames", "at_1000_frames")
    ]
    shared = [name for name in parts[-1] if parts[-1][name].ndim > 1 or name == "frames"]
    return {name: np.concatenate([part[name] for part in parts]) for name in shared}


def layer_means(arrays, name):
    values = arrays[name]
    return values.mean(axis=-1) if values.ndim == 3 else values


def test_entropy_grows_like_the_logarithm_of_the_tokens(profile):
    logarithm = np.log(1041 * profile["frames"])
    slopes = np.polyfit(logarithm, layer_means(profile, "row_entropy"), 1)[0]
    np.testing.assert_allclose(slopes, 1, rtol=0, atol=ENTROPY_SLOPE)


@pytest.mark.parametrize(
    "name",
    ["entropy_deficit", "distance_from_rank_one", "singular_ratio", "stable_rank", "mean_cosine"],
)
def test_from_ten_frames_on_no_layer_moves(profile, name):
    late = layer_means(profile, name)[profile["frames"] >= 10]
    np.testing.assert_allclose(late, np.broadcast_to(late[-1], late.shape), rtol=SETTLED_FRAMES)


@pytest.mark.parametrize("name", ["reference_mass", "own_frame_mass"])
def test_frames_are_looked_at_evenly(profile, name):
    late = profile["frames"] >= 5
    even = profile[name][late] * profile["frames"][late, None, None]
    np.testing.assert_allclose(even, 1, rtol=0, atol=EVEN_MASS)


def test_depth_moves_the_tokens_that_frames_do_not(profile):
    first, last = profile["mean_cosine"][:, 0], profile["mean_cosine"][:, -1]
    assert (last > 2 * first).all()
    assert np.ptp(last) < 0.02 < np.ptp(profile["mean_cosine"][-1])


def test_the_closed_forms_meet_the_recorded_heads(profile):
    error = profile["predicted_entropy_deficit"] / profile["entropy_deficit"] - 1
    assert np.median(np.abs(error)) < RECORDED_FORM
    layers = records.find("rank_profile", "at_1000_frames").arrays["spectrum_layers"]
    predicted = profile["predicted_singular_ratio"][:, layers]
    assert np.median(np.abs(predicted / profile["singular_ratio"] - 1)) < RECORDED_FORM


def test_the_crossover_lies_inside_the_first_frame(profile):
    assert crossover_tokens(float(profile["score_variance"].max()))[1] < 10


def test_the_orbit_settles_faster_than_independent_frames(profile):
    early = profile["frames"] <= 200
    apart = (profile["distance_from_rank_one"] / profile["distance_from_rank_one"][-1] - 1)[early]
    moved = np.sqrt(np.square(apart).mean(axis=(1, 2)))
    assert np.polyfit(np.log(profile["frames"][early]), np.log(moved), 1)[0] < -0.5


@pytest.fixture(scope="module")
def settings():
    arrays = records.find("frame_count", "to_1000_frames").arrays
    means = {name: a.mean(axis=-1) for name, a in arrays.items() if a.ndim == 3}
    rows = dict(zip(arrays["settings"], zip(*means.values(), strict=True), strict=True))
    found = {name: dict(zip(means, row, strict=True)) for name, row in rows.items()}
    return arrays["frames"], found


def test_independent_tokens_lose_their_ratio_and_keep_their_distance(settings):
    _, found = settings
    ratio, far = (found["independent"][n] for n in ("singular_ratio", "distance_from_rank_one"))
    floor = spectrum.decay_ratio(np.array([1 / 63**0.5]))[0]
    assert ratio[-1] < 0.5 * ratio[0]
    assert (ratio > floor).all()
    assert far[-1] > far[0]
    law = found["independent"]["predicted_distance_from_rank_one"][-1]
    assert far[-1] == pytest.approx(law, rel=RECORDED_WINDOW)


def test_recorded_windows_follow_their_laws(settings):
    frames, found = settings
    mean, square = windows.sphere_weights(6.0, 63)
    diluted = dilution.dilution_frames(4, 25, 6.0, other_weight=mean)
    full = frames >= 20
    row = {name: values[full] for name, values in found["windows"].items()}
    share = dilution.second_eigenvalue(frames[full], diluted)
    mass = share + (1 - share) * 4 / (25 * frames[full])
    np.testing.assert_allclose(row["match_mass"], mass, rtol=RECORDED_WINDOW)
    energy = windows.window_energy(frames[full], **WINDOWS, other_weight=mean, other_square=square)
    np.testing.assert_allclose(row["frobenius_squared"], energy, rtol=RECORDED_WINDOW)
    law = share + (1 - share) * spectrum.decay_ratio(np.array([6 / 63]))[0]
    assert (row["singular_ratio"] > law).all()
    np.testing.assert_allclose(row["singular_ratio"], law, rtol=RECORDED_RATIO)
    assert (row["distance_from_rank_one"] > 0.9).all()


def test_windows_do_not_tend_to_rank_one_in_one_layer(settings):
    """The ratio tends to the content's, the weights of the others to their own distance."""
    frames, found = settings
    far, ratio = (found["windows"][n] for n in ("distance_from_rank_one", "singular_ratio"))
    assert (np.diff(far)[frames[1:] <= 50] > 0).all()
    assert (np.diff(far)[frames[1:] > 50] < 0).all()
    floor = spectrum.decay_ratio(np.array([6 / 63]))[0]
    assert floor == pytest.approx(0.095, abs=quoted(3))
    assert (np.diff(ratio) < 0).all()
    assert ratio[-1] > 1.5 * floor
    mean, square = windows.sphere_weights(6.0, 63)
    law = windows.window_energy(1e9, **WINDOWS, other_weight=mean, other_square=square)
    assert 1 - 1 / law == pytest.approx(0.43, abs=quoted(2))
    assert 1 - mean**2 / square == pytest.approx(0.43, abs=quoted(2))


def test_orbits_stay_and_walks_rise_and_settle(settings):
    frames, found = settings
    orbit, walk = (found[name]["distance_from_rank_one"] for name in ("orbit_0", "walk_0"))
    assert np.ptp(orbit[frames >= 20]) < SETTLED_FRAMES
    assert walk[frames == 20][0] > 1.4 * walk[0]
    assert np.ptp(walk[frames >= 20]) < 0.1 * walk[-1]


def test_in_windows_more_frames_collapse_earlier_and_elsewhere_not():
    arrays = records.find("collapse_surface", "to_256_frames").arrays
    grids = dict(zip(arrays["settings"], arrays["distance_from_rank_one"], strict=True))
    first = [np.flatnonzero(line < 0.2) for line in grids["windows"][arrays["frames"] >= 8]]
    layers = [each[0] for each in first]
    assert layers == sorted(layers, reverse=True)
    assert layers[0] > 2 * layers[-1]
    twelfth = {name: grid[:, 11] for name, grid in grids.items()}
    assert twelfth["windows"][1] > 0.9
    assert twelfth["windows"][-1] < 0.02
    assert np.ptp(twelfth["independent"]) < 0.01
    assert np.ptp(twelfth["orbit"]) < 0.02


def test_along_the_walk_new_places_spread_the_tokens():
    arrays = records.find("collapse_surface", "to_256_frames").arrays
    row, few = list(arrays["settings"]).index("walk"), arrays["frames"] <= 32
    for layer in (0, 11):
        cosine = arrays["mean_cosine"][row, :, layer]
        far = arrays["distance_from_rank_one"][row, :, layer]
        assert (np.diff(cosine[few]) < 0).all()
        assert np.ptp(cosine[~few]) < 0.2 * np.ptp(cosine)
        assert far[~few].min() > 1.5 * far[0]


# Exercises


@pytest.mark.claims("exercise-crossover")
def test_exercise_crossover():
    names = ("to_200_frames", "at_500_frames", "at_1000_frames")
    profiles = [records.find("rank_profile", name).arrays["score_variance"] for name in names]
    largest = max(values.max() for values in profiles)
    assert largest == pytest.approx(1.29, abs=quoted(2))
    variance = math.log(1_041_000)
    assert variance == pytest.approx(13.86, abs=quoted(2))
    assert math.sqrt(variance / largest) == pytest.approx(3.28, abs=quoted(2))
    assert math.log(2 * 1041) == pytest.approx(7.6, abs=quoted(1))
    assert math.sqrt(math.log(2 * 1041) / largest) == pytest.approx(2.4, abs=quoted(1))


@pytest.mark.claims("exercise-window-peak")
def test_exercise_window_peak():
    diluted = dilution.dilution_frames(100, 1041, 8.0)
    assert diluted == pytest.approx(286.3, abs=quoted(1))
    assert (diluted + 100 / 1041) / (1000 + diluted) == pytest.approx(0.223, abs=quoted(3))
    shape = {"matches": 100, "tokens_per_frame": 1041, "match_score": 8.0}
    whole = windows.window_energy(diluted, **shape, other_weight=1.0, other_square=1.0)
    tokens = 1041 * diluted
    others = tokens * (tokens - 100) / (100 * math.exp(8) + tokens - 100) ** 2
    assert whole - others == pytest.approx(745.5, abs=quoted(1))


@pytest.mark.claims("exercise-floor")
def test_exercise_floor():
    floor = spectrum.decay_ratio(np.array([0.01]))[0]
    assert floor == pytest.approx(0.01, abs=quoted(4))
    far = gaussian_distance_from_rank_one(np.full(10_000, 0.01))
    assert far == pytest.approx(0.632, abs=quoted(3))


@pytest.mark.claims("exercise-reference")
def test_exercise_reference():
    bias = math.log(999)
    assert bias == pytest.approx(6.91, abs=quoted(2))
    attention = softmax(np.concatenate([[bias], np.zeros(999)]))
    assert attention[0] == pytest.approx(0.5, abs=FLOAT64)
    assert math.exp(bias) / 1000 == pytest.approx(0.999, abs=quoted(3))
