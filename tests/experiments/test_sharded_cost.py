import dataclasses
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from attention_collapse.experiments import context_parallel, device_cost, sharded_cost
from attention_collapse.experiments.attention_problem import clustered
from attention_collapse.experiments.context_parallel import (
    ROUTES,
    attention_routes,
    compare,
    require_context_parallelism,
)
from attention_collapse.experiments.sharded_cost import STAGES, Config
from attention_collapse.measure.attention_maps import attention_weights, row_entropy
from attention_collapse.measure.spectrum import distance_from_rank_one
from attention_collapse.measure.streaming import PortableBackend, attention
from attention_collapse.measure.streaming.shards import SingleProcess
from attention_collapse.records import Timing
from tolerances import STREAMED_DISTANCE, STREAMED_ENTROPY, STREAMED_PRODUCTS, STREAMED_SUMS

# Five frames for two processes: one takes two and the other three.
SMALL = Config(frames=5, tokens_per_frame=7)


@pytest.fixture(scope="module")
def said():
    return []


@pytest.fixture(scope="module")
def measurement(said):
    return sharded_cost.run(SMALL, device="cpu", report=said.append)


def test_statistics_are_those_of_the_dense_matrix_for_any_number_of_processes(measurement):
    generator = torch.Generator().manual_seed(SMALL.seed)
    sizes = {"heads": SMALL.heads, "dim": SMALL.dim, "dtype": torch.float32}
    query, key = clustered(35, generator=generator, **sizes)
    columns = torch.randn(SMALL.heads, 35, SMALL.columns, generator=generator).double()
    attention = attention_weights(query, key)
    expected = {
        "row_entropy": (row_entropy(attention).mean(-1), STREAMED_ENTROPY),
        "frobenius_squared": (attention.square().sum((-2, -1)), STREAMED_SUMS),
        "distance_from_rank_one": (distance_from_rank_one(attention), STREAMED_DISTANCE),
        "product_norm": ((attention.mT @ columns).norm(dim=(-2, -1)), STREAMED_PRODUCTS),
    }
    for name, (values, tolerance) in expected.items():
        for found in measurement.arrays[name]:
            np.testing.assert_allclose(found, values, rtol=tolerance, atol=tolerance)


def test_every_process_runs_a_stage_equally_often_however_long_it_takes(monkeypatch):
    clock = iter([0.0, 30.0, 40.0, 41.0, 50.0, 52.0])
    monkeypatch.setattr(device_cost.time, "perf_counter", lambda: next(clock))
    begun = []
    taken, last = sharded_cost._timing(
        lambda: begun.append(1) or len(begun), shards=SingleProcess(), repeats=3, device="cpu"
    )
    assert len(begun) == taken.repeats == last == 3
    assert (taken.minimum, taken.median, taken.maximum) == (1.0, 2.0, 30.0)


def test_no_pass_over_all_tokens_is_made_without_the_clock(monkeypatch):
    """Those of the timed runs give what is recorded; the warm-up takes one frame of three."""
    passes = []

    class Counted(PortableBackend):
        def rows(self, query, key):
            passes.append(("rows", query.shape[1]))
            return super().rows(query, key)

        def apply_transposed(self, query, *rest):
            passes.append(("product", query.shape[1]))
            return super().apply_transposed(query, *rest)

    @contextmanager
    def single(*, device_type):
        assert device_type == "cpu"
        yield SingleProcess()

    monkeypatch.setattr(attention, "choose_backend", lambda *_: Counted())
    monkeypatch.setattr(sharded_cost, "of_this_run", single)
    monkeypatch.setattr(sharded_cost.dist, "get_rank", lambda: 0)
    monkeypatch.setattr(sharded_cost.dist, "get_world_size", lambda: 1)
    config = Config(processes=(1,), frames=3, tokens_per_frame=7, heads=1, repeats=2)
    sharded_cost._measure_share(config, "cpu")
    assert [each for each in passes if each[1] == 7] == [("rows", 7), ("product", 7)]
    assert [each for each in passes if each[1] != 7] == 2 * [("rows", 21)] + 2 * [("product", 21)]


def test_efficiency_is_the_time_of_one_process_over_that_of_all(measurement, said):
    arrays = measurement.arrays
    one, two = arrays["seconds"].sum(-1)
    np.testing.assert_allclose(arrays["efficiency"], [1.0, one / (2 * two)])
    assert [text.split()[-1] for text in said] == [f"{e:.3f}" for e in arrays["efficiency"]]
    assert arrays["seconds"][1, 0] == measurement.timings[f"{STAGES[0]}_2_processes"].median


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"processes": (0, 1)}, "at least 1, got {'processes': 0}"),
        ({"processes": ()}, "at least 1, got {'processes': 0}"),
        ({"repeats": 0}, "at least 1, got {'repeats': 0}: only the seed"),
        ({"processes": (1, 6)}, "every process needs a frame, got 5 frames for up to 6"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **settings)


def test_more_processes_than_devices_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="a device of its own, got 1 for up to 2 processes"):
        sharded_cost.run(SMALL, device="cuda")


def test_context_parallelism_is_refused_where_torch_has_none(monkeypatch):
    config = Config(context_parallel=True)
    with pytest.raises(ValueError, match="of the CUDA kernels, got device cpu: leave context_par"):
        sharded_cost.run(config, device="cpu")
    monkeypatch.setitem(sys.modules, "torch.distributed.tensor.experimental._attention", None)
    with pytest.raises(ValueError, match="has no context parallelism where it was in 2.11"):
        require_context_parallelism("cuda")


def test_context_parallelism_takes_even_shares():
    with pytest.raises(ValueError, match=r"got 5 for \(1, 2\) processes: take a multiple"):
        Config(frames=5, context_parallel=True)


def test_routes_are_timed_beside_the_stages_and_leave_the_efficiency_alone(monkeypatch):
    """With stand-ins for the three routes: the kernels of two of them are CUDA's."""
    slow = {route: Timing(1, 9.0, 9.0, 9.0) for route in ROUTES}
    launch = sharded_cost._launch

    def with_routes(config, processes, device_type):
        plain = dataclasses.replace(config, context_parallel=False)
        return [(taken | slow, found) for taken, found in launch(plain, processes, device_type)]

    monkeypatch.setattr(sharded_cost, "_launch", with_routes)
    monkeypatch.setattr(context_parallel, "require_context_parallelism", lambda _: None)
    config = Config(processes=(1,), frames=2, tokens_per_frame=7, context_parallel=True)
    found = sharded_cost.run(config, device="cpu")
    assert found.arrays["attention_seconds"].tolist() == [[9.0] * 3]
    assert found.arrays["seconds"].shape == (1, len(STAGES))
    assert found.timings["context_alltoall_1_processes"].median == 9.0
    assert set(found.axes) == set(found.arrays) == set(found.units)


def test_routes_are_compared_with_keys_brought_together():
    one = torch.tensor([[[[3.0, 4.0]], [[0.0, 2.0]]]])
    routes = {"gathered": lambda: one, "other": lambda: one + torch.tensor([0.0, 1.0])}
    second = Timing(1, 1.0, 1.0, 1.0)
    taken, errors = compare(routes, lambda route: (second, route()), SingleProcess())
    assert taken == dict.fromkeys(routes, second)
    assert errors["gathered_error"].tolist() == [0.0, 0.0]
    assert errors["other_error"].tolist() == [0.2, 0.5]


def test_keys_brought_together_give_the_output_of_attention():
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 2, 11, 8, generator=generator)
    found = attention_routes(query, key, value, SingleProcess())["gathered"]()[0]
    exact = attention_weights(query, key) @ value.double()
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=STREAMED_PRODUCTS)
