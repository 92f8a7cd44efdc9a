"""Runs our token merging on a fixture, under the fixture's own names."""

from ast import literal_eval
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from attention_collapse.merging.attention import MergedHeads, attend, log_sizes
from attention_collapse.merging.fastvggt import (
    ReleasedPartition,
    released_match,
    released_partition,
)
from attention_collapse.merging.groups import Groups
from attention_collapse.merging.matching import directions, mean_over_heads
from attention_collapse.merging.tome import (
    BipartiteMatch,
    bipartite_soft_matching,
    every_kth_groups,
    largest_merge,
    merge_schedule,
)
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import Block, Heads, Reduction, RotaryTable, rotary_table
from golden.fixture_format import Fixture

Tensors = dict[str, Tensor]

# The reference's blocks of ToMe are built with torch's own epsilon, those of FastVGGT with VGGT's.
NORM_EPSILON = 1e-5


def fast_merge(fixture: Fixture, dtype: torch.dtype) -> Tensors:
    """Everything that the fixture holds of one call of the merging."""
    inputs = fixture.inputs(dtype)
    settings = fixture.settings
    partition = _partition(fixture, settings)
    # The reference divides float32 features by float32 norms before it rounds to bfloat16.
    found = released_match(inputs["metric"].float(), partition, merged=settings["r"])
    units = directions(inputs["metric"])
    merged = {
        f"merged_{key}": found.merge(value) for key, value in inputs.items() if key != "metric"
    }
    return {
        **_match_outputs(found, partition),
        **merged,
        "unmerged_x": found.unmerge(merged["merged_x"]),
        "scores_fp32": units[:, partition.sources] @ units[:, partition.destinations].mT,
    }


def fast_block(fixture: Fixture, dtype: torch.dtype) -> Tensors:
    settings, inputs = fixture.settings, fixture.inputs(dtype)
    block = fixture.load(_block(fixture, layer_scale=1.0, qk_norm=True), dtype)
    partition = _partition(fixture, settings["fixed_inside_reference"])
    table = _table(settings, inputs["pos"][0], dtype)
    outputs: Tensors = {}

    def reduce(heads: Heads, tokens: Tensor) -> Reduction:
        found = released_match(tokens.float(), partition)
        reduced = Heads(*(found.merge(tensor) for tensor in heads))
        outputs.update(_match_outputs(found, partition), metric=tokens)
        outputs.update(zip(("merged_q", "merged_k", "merged_v"), reduced, strict=True))
        outputs["merged_sdpa"] = attend(MergedHeads(*reduced, bias=None))
        return Reduction(reduced, restore=found.unmerge)

    seen: Tensors = {}
    merged = block(inputs["x"], rotary=table, reduce=reduce, observe=seen.__setitem__)
    return {
        **outputs,
        "y": merged,
        "attn_branch_before_layerscale": seen["attention.output"],
        "y_unmerged_attention": block(inputs["x"], rotary=table),
    }


def tome_match(fixture: Fixture, dtype: torch.dtype) -> Tensors:
    inputs, settings = fixture.inputs(dtype), fixture.settings
    x, size = inputs["x"], inputs["size"][..., 0]
    match = _bipartite(inputs["metric"], settings)
    groups, units = match.groups, directions(inputs["metric"])
    # The reference's un-merge reads the rows as if there were no distillation token.
    unmerge = replace(match, distillation_token=False).groups.unmerge
    return {
        "unm_idx": match.unmerged,
        "src_idx": match.merged,
        "dst_idx": match.destination,
        "scores_even_odd": units[:, ::2] @ units[:, 1::2].mT,
        "merged_mean": groups.merge(x),
        "merged_sum": groups.sum(x),
        "merged_amax": _maximum(groups, x),
        "unmerged_mean": unmerge(groups.merge(x)),
        "wavg_x": groups.merge(x, weights=size),
        "wavg_size": groups.total(size)[..., None],
        "wavg_x_nosize": groups.merge(x),
        "wavg_size_nosize": groups.sizes[..., None].to(dtype),
        "source": groups.membership().to(dtype),
    }


def tome_kth(fixture: Fixture, dtype: torch.dtype) -> Tensors:
    inputs, k = fixture.inputs(dtype), fixture.settings["k"]
    groups = every_kth_groups(inputs["metric"], k=k)
    merged = groups.merge(inputs["x"][:, : groups.assignment.shape[1]])
    return {
        "dst_idx": groups.assignment.unflatten(1, (-1, k))[:, :, :-1].flatten(1),
        "merged_mean": merged,
        "unmerged_mean": groups.unmerge(merged),
    }


def tome_block(fixture: Fixture, dtype: torch.dtype) -> Tensors:
    """Attention weighted by size, merging, then the MLP; once more with all sizes one."""
    inputs = fixture.inputs(dtype)
    block = fixture.load(_block(fixture, layer_scale=None, qk_norm=False), dtype)
    size = inputs["size"][..., 0] if fixture.settings["prop_attn"] else None
    attended, metric = _attended(block, inputs["x"], size)
    groups = _bipartite(metric, fixture.settings).groups
    weights = inputs["size"][..., 0]
    ones, unsized = torch.ones_like(weights), _attended(block, inputs["x"], None)[0]
    return {
        "x": _with_mlp(block, groups.merge(inputs["x"] + attended, weights=weights)),
        "size": groups.total(weights)[..., None],
        "source": groups.membership().to(dtype),
        "attn": attended,
        "metric": metric,
        "x_if_all_sizes_one": _with_mlp(block, groups.merge(inputs["x"] + unsized, weights=ones)),
    }


def tome_schedule(fixture: Fixture, dtype: torch.dtype) -> Tensors:
    """The schedules that the settings name, as in "(8, -1.0) over 12 layers"."""
    outputs = {}
    for name in fixture.settings["schedules"]:
        merged, layers = name.removesuffix(" layers").split(" over ")
        schedule = merge_schedule(literal_eval(merged), layers=int(layers))
        outputs[name] = torch.tensor(schedule)
    return outputs


def _table(settings: dict, positions: Tensor, dtype: torch.dtype) -> RotaryTable:
    dim, base = settings["dim"] // settings["num_heads"], float(settings["rope_freq"])
    return rotary_table(positions, dim=dim, base=base, dtype=dtype)


def _partition(fixture: Fixture, settings: dict) -> ReleasedPartition:
    """Our partition from the fixture's seed, in the order that the fixture's unstable sort left."""
    sizes = fixture.settings
    drawn = torch.Generator().manual_seed(settings["partition_seed"])
    partition = released_partition(
        TokenLayout(sizes["frames"], sizes["grid_h"], sizes["grid_w"]),
        cell=(settings["sy"], settings["sx"]),
        protect=settings["enable_protection"],
        generator=None if settings.get("no_rand", False) else drawn,
    )
    held = fixture.outputs()
    order = {"destinations": held["dst_tokens"], "sources": held["src_tokens"]}
    same = all(
        torch.equal(getattr(partition, role), tokens.sort().values)
        for role, tokens in order.items()
    )
    return replace(partition, **order) if same else partition


def _match_outputs(found, partition: ReleasedPartition) -> Tensors:
    return {
        "dst_tokens": partition.destinations,
        "src_tokens": partition.sources,
        "protected_tokens": partition.protected,
        "node_idx": found.destination,
        "node_max_bf16": found.similarity,
        "unm_idx": found.unmerged,
        "src_idx": found.merged,
        "dst_idx": found.joined,
    }


def _bipartite(metric: Tensor, settings: dict) -> BipartiteMatch:
    special = {
        "class_token": settings.get("class_token", False),
        "distillation_token": settings.get("distill_token", False),
    }
    most = largest_merge(metric.shape[1], **special)
    return bipartite_soft_matching(metric, merged=min(settings["r"], most), **special)


def _maximum(groups: Groups, x: Tensor) -> Tensor:
    index = groups.assignment[..., None].expand_as(x)
    empty = x.new_full((len(x), groups.count, x.shape[-1]), -torch.inf)
    return empty.scatter_reduce(1, index, x, "amax")


def _attended(block: Block, x: Tensor, size: Tensor | None) -> tuple[Tensor, Tensor]:
    """Attention output, and the keys averaged over heads."""
    tokens = block.norm1(x)
    heads = block.attn.heads_of(tokens)
    groups = Groups.singletons(*x.shape[:2])
    bias = None if size is None else log_sizes(groups, sizes=size)
    return block.attn.proj(block.attn.mix(heads, key_bias=bias)), mean_over_heads(heads.key)


def _with_mlp(block: Block, x: Tensor) -> Tensor:
    return x + block.ls2(block.mlp(block.norm2(x)))


def _block(fixture: Fixture, *, layer_scale: float | None, qk_norm: bool) -> Block:
    settings = fixture.settings
    return Block(
        settings["dim"],
        settings["num_heads"],
        mlp_ratio=float(settings["mlp_ratio"]),
        layer_scale=layer_scale,
        qk_norm=qk_norm,
        norm_epsilon=NORM_EPSILON,
        generator=torch.Generator(),
    )


REPRODUCTIONS: dict[str, Callable[[Fixture, torch.dtype], Tensors]] = {
    "fast_block": fast_block,
    "fast_merge": fast_merge,
    "tome_block": tome_block,
    "tome_kth": tome_kth,
    "tome_match": tome_match,
    "tome_r_schedule": tome_schedule,
}
