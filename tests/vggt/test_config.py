import dataclasses
import math

import pytest

from attention_collapse.vggt.config import AggregatorConfig
from attention_collapse.vggt.patch_encoder import PatchEncoderConfig


def test_the_defaults_are_the_sizes_of_vggt():
    config = AggregatorConfig()
    assert (config.width, config.depth, config.heads, config.patch_size) == (1024, 24, 16, 14)
    assert (config.order, config.group_size) == (("frame", "global"), 1)


def test_a_config_cannot_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        AggregatorConfig().depth = 2


@pytest.mark.parametrize(
    "order", [("frame",), ("frame", "frame"), ("frame", "local"), (), ("frame", None)]
)
def test_an_order_without_both_kinds_is_refused(order):
    with pytest.raises(ValueError, match=r"order must name each kind .* once, got \(.*\); use"):
        AggregatorConfig(order=order)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"depth": 0}, "depth must be an integer of at least 1, got 0; VGGT uses 24"),
        ({"registers": -1}, "registers must be an integer of at least 0, got -1; VGGT uses 4"),
        ({"patch_size": 0}, "patch_size must be an integer of at least 1, got 0; VGGT uses 14"),
        ({"group_size": 0}, "group_size must be an integer of at least 1, got 0; VGGT uses 1"),
        ({"group_size": 5}, "multiple of group_size, got depth 24 and group_size 5; with"),
        ({"width": 1000}, "multiple of the heads, got width 1000 and 16 heads; VGGT has"),
        ({"heads": 0}, "multiple of the heads, got width 1024 and 0 heads"),
        ({"width": 96}, "multiple of 4 for rotary positions .*, got 6; change the width"),
        (
            {"rotary_base": -1.0},
            r"rotary base must be finite and positive, got -1\.0; VGGT uses 100",
        ),
        ({"mlp_ratio": 0.0}, r"hidden channel .* got width 1024 times mlp_ratio 0\.0; VGGT uses"),
        ({"mlp_ratio": math.inf}, "finitely many, got width 1024 times mlp_ratio inf; VGGT uses"),
        ({"mlp_ratio": math.nan}, "finitely many, got width 1024 times mlp_ratio nan; VGGT uses"),
        ({"rotary_base": math.inf}, "rotary base must be finite and positive, got inf; VGGT"),
        ({"layer_scale": math.nan}, "layer_scale must be finite, got nan; VGGT starts at 0.01"),
        ({"special_token_std": -1.0}, r"finite and not negative, got -1\.0; VGGT starts at 1e-6"),
        ({"special_token_std": math.nan}, "finite and not negative, got nan; VGGT starts at 1e-6"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        AggregatorConfig(**sizes)


def test_a_head_dimension_of_6_is_fine_without_rotary_positions():
    assert AggregatorConfig(width=96, rotary_base=None).rotary_base is None


@pytest.mark.parametrize("sizes", [{"width": 512}, {"patch_size": 7}])
def test_a_patch_encoder_of_other_sizes_is_refused(sizes):
    name, value = next(iter(sizes.items()))
    message = f"patch encoder must have the aggregator's {name}, got {value} and .*; its tokens"
    with pytest.raises(ValueError, match=message):
        AggregatorConfig(patch_encoder=PatchEncoderConfig(**sizes))
