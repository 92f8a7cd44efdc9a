import dataclasses

import numpy as np
import pytest
import torch

from attention_collapse.experiments import device_cost, merging_cost, merging_variants
from attention_collapse.experiments.merging_cost import TIMED, Config
from attention_collapse.experiments.merging_problem import (
    DRIFT,
    make_problem,
    panning_tokens,
    relative_errors,
)
from attention_collapse.experiments.merging_variants import VARIANTS, Clock, grid
from attention_collapse.merging.attention import MergeRule
from attention_collapse.merging.backend import Nearest
from attention_collapse.merging.fastvggt import released_match
from attention_collapse.merging.grouping import GridGrouping
from attention_collapse.merging.portable import PortableBackend
from attention_collapse.tokens import TokenLayout
from tolerances import FLOAT64_NETWORK, SINGLE_PRECISION_OUTPUT, quoted

LAYOUT = TokenLayout(3, 5, 7)
SMALL = Config(frames=(2, 3), grid=(5, 7), ceiling_size=32, copied_bytes=256, checked=120)


def problem(seed=0, **options):
    settings = {"heads": 2, "dim": 64, "noise": 0.6, "sharpness": 1.5, "spots": 120}
    generator = torch.Generator().manual_seed(seed)
    return make_problem(LAYOUT, **(settings | options), generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def measurement():
    return merging_cost.run(SMALL, device="cpu")


def row(measurement, name):
    return list(VARIANTS).index(name)


def test_a_stage_is_charged_its_own_time(monkeypatch):
    ticks = iter((1.0, 3.0, 10.0, 15.0))
    monkeypatch.setattr(device_cost.time, "perf_counter", lambda: next(ticks))
    clock = Clock("cpu")
    assert clock("match", lambda: "matches") == "matches"
    clock("merge", lambda: None)
    assert clock.finish() == {"match": 2.0, "merge": 5.0}


def test_every_time_stands_beside_an_error(measurement):
    arrays = measurement.arrays
    assert arrays["error"].shape == (2, len(VARIANTS))
    plain = arrays["error"][:, row(measurement, "plain")]
    assert plain.max() <= SINGLE_PRECISION_OUTPUT
    merged = np.delete(arrays["error"], row(measurement, "plain"), axis=1)
    assert merged.min() > 0.01
    assert (arrays["centred_error"] >= arrays["error"]).all()


def test_the_total_is_the_sum_of_the_stages(measurement):
    seconds = measurement.arrays["seconds"]
    np.testing.assert_allclose(np.nansum(seconds[..., :-1], -1), seconds[..., -1])
    named = measurement.timings["public, 3 frames"]
    assert named.median == seconds[1, row(measurement, "public"), -1]
    stages = dict(zip(TIMED, seconds[0, row(measurement, "plain")], strict=True))
    assert [name for name, taken in stages.items() if taken == taken] == ["attention", "total"]


def test_only_keys_are_merged_where_the_variant_says_so(measurement):
    arrays, keys = measurement.arrays, row(measurement, "3x3, 128, keys")
    assert list(arrays["queries"][:, keys]) == [80, 120]
    assert list(arrays["keys"][:, keys]) == [22, 33]
    assert np.isnan(arrays["seconds"][:, keys, TIMED.index("unmerge")]).all()


def test_balanced_cells_keep_fewer_tokens():
    """Of 5 x 7 patches, six stay in cells of three by three, some cut, and two in balanced ones."""
    assert SMALL.names == tuple(VARIANTS)
    names = ("3x3", "3x3, balanced", "3x3, 128, balanced")
    config = dataclasses.replace(SMALL, frames=(2,), variants=names)
    assert config.names == names
    arrays = merging_cost.run(config, device="cpu").arrays
    assert arrays["keys"][0].tolist() == [22, 14, 14]


def test_a_ratio_of_zero_has_no_error():
    small = problem()
    outcome = grid(small, Clock("cpu"), grouping=GridGrouping(ratio=0.0), rule=MergeRule())
    errors = relative_errors(outcome.output[0, small.spots], small.exact())
    assert max(errors) <= FLOAT64_NETWORK


def test_the_released_set_gives_the_release_where_the_matches_are_the_same(monkeypatch):
    small = problem()

    class Same(PortableBackend):
        def nearest(self, sources, destinations):
            partition = merging_variants._released(small)
            found = released_match(small.tokens, partition)
            joins = ~torch.isin(partition.sources, partition.protected)
            return Nearest(found.destination[:, joins], found.similarity[:, joins].double())

    monkeypatch.setattr(merging_variants, "choose_backend", lambda tokens: Same())
    ours = VARIANTS["released set"](small, Clock("cpu"))
    theirs = VARIANTS["public"](small, Clock("cpu"))
    torch.testing.assert_close(ours.output, theirs.output, rtol=0, atol=FLOAT64_NETWORK)
    assert (ours.queries, ours.keys) == (theirs.queries, theirs.keys)


def test_a_variant_is_what_the_library_computes_in_a_network():
    """Stage by stage it is the grouping and the merged attention of the library."""
    from attention_collapse.merging.attention import merged_attention

    small, grouping = problem(), GridGrouping(cell=(3, 3), dimensions=32, seed=1)
    outcome = grid(small, Clock("cpu"), grouping=grouping, rule=MergeRule())
    groups = grouping(small.tokens, layer=0, layout=LAYOUT)
    mixed = merged_attention(small.query, small.key, small.value, groups)
    expected = mixed.transpose(1, 2).flatten(2)
    torch.testing.assert_close(outcome.output, expected, rtol=0, atol=FLOAT64_NETWORK)


def test_patches_that_see_one_point_are_alike():
    generator = torch.Generator().manual_seed(0)
    options = {"width": 256, "generator": generator, "dtype": torch.float64}
    tokens = panning_tokens(LAYOUT, noise=0.0, **options)
    frames = tokens[0].unflatten(0, (LAYOUT.frames, -1))[:, LAYOUT.special :].unflatten(1, (5, 7))
    cosine = torch.nn.functional.cosine_similarity
    same = cosine(frames[0, :, DRIFT:], frames[1, :, :-DRIFT], dim=-1)
    other = cosine(frames[0, :, DRIFT:], frames[1, :, DRIFT:], dim=-1)
    assert same.min() > 0.9
    assert other.max() < 0.9


def test_errors_are_relative_to_the_norm_and_to_the_spread():
    exact = torch.tensor([[10.0, 0.0], [10.0, 2.0]]).double()
    error, centred = relative_errors(exact + torch.tensor([[0.0, 1.0], [0.0, 0.0]]), exact)
    assert error == pytest.approx(204**-0.5)
    assert centred == pytest.approx(2**-0.5)


def test_a_copy_reads_and_writes(monkeypatch):
    timed = lambda operation, **_: merging_cost._timing([operation() is None or 0.5])  # noqa: E731
    monkeypatch.setattr(device_cost, "timing", timed)
    assert device_cost.copy_rate(100, device="cpu", repeats=1) == pytest.approx(400, abs=quoted(3))


def test_the_same_seed_gives_the_same_canary(measurement):
    first = merging_cost.canary_values(measurement)
    again = merging_cost.canary_values(merging_cost.run(SMALL, device="cpu"))
    assert first == again
    assert first["products (0, 3)"] == 58 * 12 * 128


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames": (1, 2)}, "got {'frames': 0} .* the release that is compared"),
        ({"repeats": 0, "dim": 0}, "got {'dim': 0, 'repeats': 0}"),
        ({"variants": ("plain", "4x5")}, r"no variants \['4x5'\]; there are: plain, public"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **settings)
