import dataclasses

import numpy as np
import pytest
import torch

from attention_collapse.experiments import device_cost, sharded_cost
from attention_collapse.experiments.attention_problem import clustered
from attention_collapse.experiments.sharded_cost import STAGES, Config
from attention_collapse.measure.attention_maps import attention_weights, row_entropy
from attention_collapse.measure.spectrum import distance_from_rank_one
from attention_collapse.measure.streaming.shards import SingleProcess
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
    taken = sharded_cost._timing(
        lambda: begun.append(1), shards=SingleProcess(), repeats=3, device="cpu"
    )
    assert len(begun) == taken.repeats == 3
    assert (taken.minimum, taken.median, taken.maximum) == (1.0, 2.0, 30.0)


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
