import dataclasses

import numpy as np
import pytest
import torch

from attention_collapse.experiments import attention_cost
from attention_collapse.experiments.attention_ceilings import STAGES, Ceilings
from attention_collapse.experiments.attention_cost import ERRORS, Config, make_problem
from attention_collapse.experiments.attention_problem import SINKS
from attention_collapse.measure.streaming.backend import RowStatistics
from attention_collapse.measure.streaming.dense import DenseBackend
from tolerances import KERNEL_ENERGY, KERNEL_ENTROPY, KERNEL_PRODUCT, STREAMED_SPECTRUM, quoted

SMALL = Config(
    frames=(2, 3), tokens_per_frame=33, heads=2, dim=16, columns=4, eager_frames=2, ceiling_size=32
)
# On the CPU queries are float32, and scores round in float32: the column sums of a few rows lose
# more than a kernel's at 2000 tokens.
LARGEST = dict.fromkeys(ERRORS, KERNEL_ENERGY) | {
    "log_sum_exp": KERNEL_ENTROPY,
    "entropy": KERNEL_ENTROPY,
    "apply": KERNEL_PRODUCT,
    "apply_transposed": KERNEL_PRODUCT,
}


@pytest.fixture(scope="module")
def measurement():
    return attention_cost.run(SMALL, device="cpu")


def problem(config=SMALL, frames=2):
    return make_problem(config, frames, dtype=torch.float32, device="cpu")


def test_errors_against_float64_are_small(measurement):
    largest = np.array([LARGEST[name] for name in ERRORS])
    two_frames, three_frames = measurement.arrays["error"]
    assert (two_frames <= largest).all()
    whole = ERRORS.index("column_sums_whole")
    assert np.isnan(three_frames[whole])
    assert (np.delete(three_frames, whole) <= np.delete(largest, whole)).all()


class Wrong(DenseBackend):
    """A backend that is a little off everywhere."""

    def rows(self, query, key):
        exact = super().rows(query, key)
        return RowStatistics(*(number * 1.001 for number in vars(exact).values()))


def test_wrong_rows_show_in_every_error_but_those_of_columns():
    wrong = dataclasses.replace(problem(), backend=Wrong())
    errors = wrong.errors()
    # Other columns are compared at the normalisers that the backend found.
    assert min(errors[name] for name in set(ERRORS) - {"column_sums", "apply_transposed"}) > 5e-4


def test_wrong_columns_show():
    class Off(DenseBackend):
        def columns(self, query, key, log_sum_exp, *, tokens_per_frame=None):
            exact = super().columns(query, key, log_sum_exp, tokens_per_frame=tokens_per_frame)
            return dataclasses.replace(exact, sums=exact.sums * 1.001)

        def apply_transposed(self, *inputs):
            return super().apply_transposed(*inputs) * 1.001

    errors = dataclasses.replace(problem(), backend=Off()).errors()
    assert errors["column_sums"] == pytest.approx(1e-3)
    assert errors["apply_transposed"] == pytest.approx(1e-3)
    assert errors["entropy"] < KERNEL_ENTROPY


def test_the_plain_routes_give_attention_and_its_entropy():
    small = problem()
    operations, dense = small.operations(), DenseBackend()
    exact = dense.rows(small.query, small.key)
    assert (operations["eager"]() - exact.entropy).abs().max() <= KERNEL_ENTROPY
    values = dense.apply(small.query, small.key, exact.log_sum_exp, small.key)
    torch.testing.assert_close(
        operations["attention"]()[0].double(), values, rtol=KERNEL_PRODUCT, atol=KERNEL_PRODUCT
    )


def test_sinks_receive_more_than_other_tokens():
    small = problem(frames=3)
    columns = small.backend.columns(small.query, small.key, small.rows.log_sum_exp)
    assert (columns.sums[:, :SINKS].mean(-1) > 3 * columns.sums[:, SINKS:].mean(-1)).all()


def test_the_same_seed_gives_the_same_problem():
    first, again, other = problem(), problem(), problem(dataclasses.replace(SMALL, seed=1))
    assert torch.equal(first.key, again.key)
    assert torch.equal(first.columns, again.columns)
    assert not torch.equal(first.key, other.key)


def test_floors_are_work_over_rate():
    ceilings = Ceilings(matmul=796e12, exponentials=3.75e12, joint=5e12)
    sizes = {"scores": 16 * 1_041_000**2, "dim": 64, "columns": 64}
    assert ceilings.floor("rows", **sizes, joint=False) == pytest.approx(4.624, abs=quoted(3))
    assert ceilings.floor("rows", **sizes, joint=True) == pytest.approx(3.468, abs=quoted(3))
    for stage in ("apply", "attention"):
        assert ceilings.floor(stage, **sizes, joint=True) == pytest.approx(5.576, abs=quoted(3))
    narrow = sizes | {"columns": 32}
    assert ceilings.floor("apply", **narrow, joint=False) == pytest.approx(
        0.75 * 5.576, abs=quoted(3)
    )


def test_times_are_compared_with_the_floors(measurement):
    arrays = measurement.arrays
    names = ("matmul_ceiling", "exponentials_ceiling", "joint_ceiling")
    ceilings = Ceilings(*(float(arrays[name]) for name in names))
    sizes = {"scores": 2 * 66**2, "dim": 16, "columns": 4}
    floors = [ceilings.floor(stage, **sizes, joint=False) for stage in STAGES]
    np.testing.assert_allclose(arrays["share_of_ceiling"][0] * arrays["seconds"][0], floors)
    rows = list(STAGES).index("rows")
    assert measurement.timings["rows_3_frames"].median == arrays["seconds"][1, rows]
    assert np.isnan(arrays["peak_bytes"]).all()


def test_memory_on_the_cpu_is_that_of_a_process_for_each_stage(monkeypatch):
    ran = []

    def mark(prepare, *arguments):
        prepare(*arguments)()
        ran.append(arguments[1:])
        return 1e6 * len(ran)

    monkeypatch.setattr(attention_cost, "taken_memory", mark)
    config = dataclasses.replace(SMALL, frames=(2,), process_memory=True)
    peaks = attention_cost.run(config, device="cpu").arrays["peak_bytes"]
    assert ran == [(2, stage) for stage in STAGES]
    assert peaks[0].tolist() == [1e6 * (number + 1) for number in range(len(STAGES))]


def test_the_plain_entropy_is_left_out_beyond_its_limit(measurement):
    eager = list(STAGES).index("eager")
    assert list(np.isnan(measurement.arrays["seconds"][:, eager])) == [False, True]
    assert "eager_3_frames" not in measurement.timings


def test_the_spectrum_is_that_of_the_dense_matrix():
    config = dataclasses.replace(SMALL, frames=(2,), spectrum=True, heads=1)
    arrays = attention_cost.run(config, device="cpu").arrays
    small = problem(config)
    weights = (small.query.double() @ small.key.double().mT / 4).softmax(-1)
    exact = torch.linalg.svdvals(weights)[:, :16].numpy()
    np.testing.assert_allclose(
        arrays["singular_values"][0], exact, rtol=0, atol=STREAMED_SPECTRUM * exact.max()
    )
    assert arrays["singular_errors"].shape == (1, 1, 16)


def test_counts_are_those_of_the_tokens(measurement):
    values = attention_cost.canary_values(measurement)
    assert values["tokens at 3 frames"] == 99
    assert values["scores at 3 frames"] == 2 * 99**2
    assert 0 < values["exact_entropy at 3 frames"] < np.log(99)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames": (0, 2)}, "got {'frames': 0}"),
        ({"repeats": 0, "dim": 0}, "got {'dim': 0, 'repeats': 0}: only eager_frames"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **settings)
