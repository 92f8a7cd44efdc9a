"""What *A thousand frames* says about attention whose queries are split over GPUs."""

import numpy as np
import pytest

from attention_collapse import records
from tolerances import quoted


@pytest.fixture(scope="module")
def many():
    return records.find("sharded_cost", "two_gpus")


@pytest.fixture(scope="module")
def few():
    return records.find("sharded_cost", "context_parallel")


def test_the_runs_were_made_as_the_chapter_says(many, few):
    sizes = ("frames", "heads", "dim", "columns", "tokens_per_frame", "repeats")
    assert [many.config[name] for name in sizes] == [2000, 8, 64, 64, 1041, 1]
    assert [few.config[name] for name in sizes] == [100, 16, 64, 64, 1041, 3]
    for record in (many, few):
        assert record.device["name"] == "NVIDIA H200"
        assert record.arrays["processes"].tolist() == [1, 2]
        assert record.arrays["stages"].tolist() == ["keys", "statistics", "apply_transposed"]
    assert many.arrays["tokens"] == 2_082_000


def test_efficiency_is_the_seconds_of_one_over_twice_those_of_two(many, few):
    for record, kept in ((many, 0.999), (few, 0.926)):
        one, two = record.arrays["seconds"].sum(axis=1)
        assert record.arrays["efficiency"][1] == pytest.approx(one / (2 * two))
        assert one / (2 * two) == pytest.approx(kept, abs=quoted(3))
    one, two = many.arrays["seconds"].sum(axis=1)
    assert one == pytest.approx(42.0, abs=quoted(1))
    assert two == pytest.approx(21.0, abs=quoted(1))


def test_at_100_frames_no_stage_is_quite_halved(few):
    one, two = few.arrays["seconds"]
    assert (two > one / 2).all()


def test_two_gpus_find_the_numbers_of_one(many):
    one, two = many.arrays["distance_from_rank_one"]
    assert np.abs(two / one - 1).max() == pytest.approx(1e-8, abs=quoted(0) * 1e-8)
    np.testing.assert_array_equal(*many.arrays["row_entropy"])


def test_what_comes_together_grows_like_the_tokens(many, few):
    """Keys in bfloat16, column sums in double, products in single precision."""
    assert many.numerics["storage_dtype"] == few.numerics["storage_dtype"] == "bfloat16"
    tokens = 8 * many.arrays["tokens"]
    for size, gigabytes, digits in ((2 * 64, 2.1, 1), (8, 0.13, 2), (4 * 64, 4.3, 1)):
        assert size * tokens / 1e9 == pytest.approx(gigabytes, abs=quoted(digits))
    keys = 2 * 16 * 64 * 1_041_000 / 1e9
    assert keys == pytest.approx(2.1, abs=quoted(1))
    assert few.device["memory"] / 1e9 == pytest.approx(150, abs=quoted(0))


def test_context_parallelism_saves_little_and_gives_the_same_output(few):
    routes = ["gathered", "context_allgather", "context_alltoall"]
    assert few.arrays["routes"].tolist() == routes
    one, two = few.arrays["attention_seconds"]
    assert np.ptp(one) < 0.02 * one[0]
    saved = 100 * (1 - two[1:] / two[0])
    assert saved.min() == pytest.approx(4, abs=quoted(0))
    assert saved.max() == pytest.approx(5, abs=quoted(0))
    for route in routes[1:]:
        alone, apart = few.arrays[f"{route}_error"]
        assert alone.max() == 0
        assert 2**-9 < apart.min() < apart.max() < 2**-8
        assert apart.max() == pytest.approx(0.003, abs=quoted(3))
