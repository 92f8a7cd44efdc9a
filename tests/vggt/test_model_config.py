import dataclasses
from dataclasses import replace

import pytest

from attention_collapse.vggt.model_config import MINI, VGGT_1B, VGGTConfig


def test_a_config_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MINI.kept_layers = (0,)


@pytest.mark.parametrize("config", [MINI, VGGT_1B])
@pytest.mark.parametrize("name", ["camera", "depth", "points"])
def test_a_head_reads_both_streams(config, name):
    width = 2 * config.aggregator.width
    narrow = replace(getattr(config, name), width=width // 2)
    message = f"width of the {name} head must be twice .*, {width}, got {width // 2}"
    with pytest.raises(ValueError, match=message):
        replace(config, **{name: narrow})


@pytest.mark.parametrize("channels", [None, 2])
@pytest.mark.parametrize(("name", "needed"), [("depth", 1), ("points", 3)])
def test_the_heads_have_fixed_channels(name, needed, channels):
    head = replace(getattr(VGGT_1B, name), channels=channels)
    with pytest.raises(
        ValueError, match=f"{name} head must have {needed} channels, got {channels}"
    ):
        replace(VGGT_1B, **{name: head})


@pytest.mark.parametrize("setting", [{"patch_size": 16}, {"down_ratio": 2}])
def test_the_heads_have_the_pixels_of_the_patches(setting):
    head = replace(VGGT_1B.depth, **setting)
    with pytest.raises(ValueError, match="one result for each pixel .* patches of side 14, got"):
        replace(VGGT_1B, depth=head)


@pytest.mark.parametrize("layers", [(), (4, 11, 17), (4, 11, 17, 24), (4, 11, 23, 17), (-1, 23)])
def test_kept_layers_exist_and_end_with_the_last(layers):
    with pytest.raises(ValueError, match="from 0 to 23 and end with 23, .* got .*; VGGT uses"):
        replace(VGGT_1B, kept_layers=layers)


def test_a_dense_head_reads_four_layers():
    with pytest.raises(ValueError, match=r"reads 4 layers, got kept_layers \(11, 23\); name 4"):
        replace(VGGT_1B, kept_layers=(11, 23))
    assert isinstance(replace(MINI, kept_layers=(2, 5)), VGGTConfig)
