"""Runs our network on a fixture: one function for each kind, under the fixture's own names."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from attention_collapse.vggt import (
    Aggregator,
    AggregatorConfig,
    Attention,
    Block,
    PatchEncoderConfig,
    RotaryTable,
    rotary_table,
    rotate,
)
from golden import (
    reproduction_geometry,
    reproduction_heads,
    reproduction_merging,
    reproduction_model,
)
from golden.fixture_format import Fixture
from golden.reproduction_heads import patch_encoder_config, patch_encoder_outputs

Tensors = dict[str, Tensor]


def rope(fixture: Fixture, dtype: torch.dtype) -> Tensors:
    inputs = fixture.inputs(dtype)
    rotated = [
        rotate(tokens, _table(fixture, positions, tokens.shape[-1], dtype))
        for tokens, positions in zip(inputs["tokens"], inputs["positions"], strict=True)
    ]
    return {"rotated": torch.stack(rotated)}


def attention(fixture: Fixture, dtype: torch.dtype) -> Tensors:
    width, heads = fixture.settings["dim"], fixture.settings["num_heads"]
    layer = Attention(width, heads, **_attention_settings(fixture), generator=torch.Generator())
    return _by_entry(fixture, dtype, partial(_run_attention, fixture.load(layer, dtype)))


def _run_attention(layer: Attention, x: Tensor, table: RotaryTable | None) -> Tensors:
    seen: Tensors = {}
    fused = layer(x, rotary=table, observe=seen.__setitem__)
    query, key, value = seen["query"], seen["key"], seen["value"]
    weights = (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(dim=-1)
    return {
        "y": fused,
        "y_unfused": layer.proj((weights @ value).transpose(1, 2).flatten(2)),
        "q_after_norm_rope": query,
        "k_after_norm_rope": key,
        "attn_probs": weights,
    }


def block(fixture: Fixture, dtype: torch.dtype) -> Tensors:
    settings = fixture.settings
    layer = Block(
        settings["dim"],
        settings["num_heads"],
        mlp_ratio=float(settings.get("mlp_ratio", 4)),
        layer_scale=_number(settings.get("init_values", 0.01)),
        **_attention_settings(fixture),
        generator=torch.Generator(),
    )
    return _by_entry(fixture, dtype, partial(_run_block, fixture.load(layer, dtype)))


def _run_block(layer: Block, x: Tensor, table: RotaryTable | None) -> Tensors:
    seen: Tensors = {}
    result = layer(x, rotary=table, observe=seen.__setitem__)
    return {"y": result, "attn_branch_before_layerscale": seen["attention.output"]}


def aggregator(fixture: Fixture, dtype: torch.dtype) -> Tensors:
    network = Aggregator(aggregator_config(fixture), generator=torch.Generator())
    fixture.load(network, dtype)
    outputs: Tensors = {}
    for key, images in fixture.inputs(dtype).items():
        # Further images, named "images.suffix", run through the same weights.
        suffix = key.removeprefix("images")
        seen: Tensors = {}
        result = network(images, observe=seen.__setitem__)
        for layer, stream in result.layers.items():
            outputs[f"intermediate.{layer}{suffix}"] = stream
        outputs[f"intermediate_last{suffix}"] = stream
        outputs[f"patch_tokens{suffix}"] = seen["patch_embedding.output"]
        outputs[f"patch_start_idx{suffix}"] = torch.tensor([result.layout.special])
        if network.config.patch_encoder is not None:
            encoder = patch_encoder_outputs(network, images)
            outputs |= {f"{name}{suffix}": value for name, value in encoder.items()}
    return outputs


def aggregator_config(fixture: Fixture) -> AggregatorConfig:
    settings = fixture.settings
    return AggregatorConfig(
        width=settings["embed_dim"],
        depth=settings["depth"],
        heads=settings["num_heads"],
        mlp_ratio=float(settings["mlp_ratio"]),
        registers=settings["num_register_tokens"],
        patch_size=settings.get("patch_size", 14),
        rotary_base=_number(settings["rope_freq"]),
        layer_scale=_number(settings.get("init_values", 0.01)),
        qk_norm=settings.get("qk_norm", True),
        order=tuple(settings["aa_order"]),
        group_size=settings["aa_block_size"],
        patch_encoder=_patch_encoder(settings),
    )


def _patch_encoder(settings: dict[str, Any]) -> PatchEncoderConfig | None:
    if settings["patch_embed"] == "conv":
        return None
    return patch_encoder_config(settings["vit"], settings)


REPRODUCTIONS: dict[str, Callable[[Fixture, torch.dtype], Tensors]] = {
    "rope": rope,
    "attention": attention,
    "block": block,
    "aggregator": aggregator,
    **reproduction_heads.REPRODUCTIONS,
    **reproduction_geometry.REPRODUCTIONS,
    **reproduction_model.REPRODUCTIONS,
    **reproduction_merging.REPRODUCTIONS,
}


def _attention_settings(fixture: Fixture) -> dict[str, bool]:
    return {key: fixture.settings.get(key, True) for key in ("qk_norm", "qkv_bias", "proj_bias")}


def _by_entry(
    fixture: Fixture,
    dtype: torch.dtype,
    run: Callable[[Tensor, RotaryTable | None], Tensors],
) -> Tensors:
    """Runs each batch entry with the table of its own positions."""
    inputs = fixture.inputs(dtype)
    dim = fixture.settings["dim"] // fixture.settings["num_heads"]
    positions = inputs.get("pos", [None] * len(inputs["x"]))
    entries = [
        run(x[None], _table(fixture, places, dim, dtype))
        for x, places in zip(inputs["x"], positions, strict=True)
    ]
    return {key: torch.cat([entry[key] for entry in entries]) for key in entries[0]}


def _table(
    fixture: Fixture, positions: Tensor | None, dim: int, dtype: torch.dtype
) -> RotaryTable | None:
    base = _number(fixture.settings["rope_freq"])
    return None if base is None else rotary_table(positions, dim=dim, base=base, dtype=dtype)


def _number(setting: float | None) -> float | None:
    """The setting; the reference leaves a part out where its number is absent or not positive."""
    return float(setting) if setting and setting > 0 else None
