"""Token merging as published by Bolya et al. (ToMe): bipartite matching within the sequence.

Tokens are split by their place, half of the tokens that are compared with the other half are
merged into it, and stay merged for the rest of the network. Keys averaged over heads are the
features. What the merged tokens stand for is carried along as groups of the original tokens, with
``Groups.then``, and their sizes with ``Groups.total``; proportional attention is the bias
``attention.log_sizes``.

VGGT cannot keep its tokens merged: a frame block needs the tokens of each frame apart, at the
places that their rotary embedding names, and the heads read every patch of every frame. There a
step of ToMe merges for the attention of one global layer and copies its output back to all tokens,
which ``BipartiteGrouping`` does as any other grouping of a ``MergeReducer``. No token is removed
for longer than a layer, so that the shares of several layers do not add up.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from attention_collapse.merging.groups import Groups
from attention_collapse.merging.matching import Match, directions, group, match, nearest
from attention_collapse.merging.partition import Partition
from attention_collapse.tokens import TokenLayout


@dataclass(frozen=True)
class BipartiteMatch:
    """Which even tokens join which odd tokens.

    Attributes:
        unmerged: Positions among the even tokens that stay, by falling similarity; ascending where
            there is a class token.
        merged: Positions among the even tokens that join, by falling similarity.
        destination: Positions among the odd tokens that they join.
        tokens: Number of tokens.
        distillation_token: Whether the first odd token is placed second in the result.

    Source: Bolya et al. (arXiv 2210.09461), section 3. Home section: *Token merging*.
    """

    unmerged: Int64[Tensor, "batch unmerged"]
    merged: Int64[Tensor, "batch merged"]
    destination: Int64[Tensor, "batch merged"]
    tokens: int
    distillation_token: bool = False

    @property
    def groups(self) -> Groups:
        """The groups in the published order: even tokens that stay, then odd tokens."""
        batch, stay = self.unmerged.shape
        odd = self.tokens // 2
        rows = torch.arange(stay + odd, device=self.merged.device)
        if self.distillation_token:
            # The rows of even and odd tokens change places between the first of each.
            rows = torch.cat((rows[:1], rows[2 : stay + 1], rows[1:2], rows[stay + 1 :]))
        assignment = self.merged.new_empty(batch, self.tokens)
        even = self.merged.new_empty(batch, self.tokens - odd)
        even.scatter_(1, self.unmerged, rows[:stay].expand(batch, -1))
        even.scatter_(1, self.merged, rows[stay + self.destination])
        assignment[:, ::2], assignment[:, 1::2] = even, rows[stay:]
        return Groups(assignment, stay + odd)


def largest_merge(tokens: int, *, class_token: bool, distillation_token: bool = False) -> int:
    """The most tokens that one bipartite matching can remove: half of those that may join.

    Raises:
        ValueError: There are fewer tokens than special ones.

    Home section: *Token merging*.
    """
    special = int(class_token) + int(distillation_token)
    if tokens <= special:
        raise ValueError(
            f"a sequence must have more tokens than the {special} that never merge, got {tokens}; "
            "pass patches too"
        )
    return (tokens - special) // 2


def bipartite_soft_matching(
    features: Float[Tensor, "batch token width"],
    *,
    merged: int,
    class_token: bool = False,
    distillation_token: bool = False,
) -> BipartiteMatch:
    """The even tokens that are most similar to an odd one, and that odd token.

    Every even token finds the odd token of the largest cosine; the ``merged`` best pairs are
    merged. The class token, the first of all, joins nothing; nothing joins the distillation token,
    the second.

    Args:
        features: What the tokens are compared by, such as ``mean_over_heads`` of the keys.
        merged: Number of tokens to remove.
        class_token: Whether the first token is a class token.
        distillation_token: Whether the second token is a distillation token.

    Raises:
        ValueError: A feature is not finite, or ``merged`` is negative or above ``largest_merge``.

    Source: Bolya et al. (arXiv 2210.09461), section 3, which caps ``merged`` in silence.
    Home section: *Token merging*.
    """
    tokens = features.shape[1]
    most = largest_merge(tokens, class_token=class_token, distillation_token=distillation_token)
    if not 0 <= merged <= most:
        raise ValueError(
            f"at least 0 and at most {most} of {tokens} tokens can merge in one step, got {merged};"
            " merge the rest in later layers"
        )
    units = directions(features)
    found = _nearest_odd(units[:, ::2], units[:, 1::2], int(distillation_token))
    similarity = found.similarity.clone()
    if class_token:
        similarity[:, 0] = -math.inf
    # The published sort is not stable; only the order of equal cosines can differ.
    ranked = similarity.argsort(dim=1, descending=True, stable=True)
    unmerged, joining = ranked[:, merged:], ranked[:, :merged]
    if class_token:
        unmerged = unmerged.sort(dim=1).values
    destination = found.destination.gather(1, joining)
    return BipartiteMatch(unmerged, joining, destination, tokens, distillation_token)


@dataclass(frozen=True)
class BipartiteGrouping:
    """Groups of one step of bipartite matching among the patches of a scene.

    Patches take turns as source and destination, frame after frame; special tokens take no part.
    The most similar pairs merge. It is a grouping for attention of one layer, see above.

    Args:
        ratio: Share of all tokens to remove, honoured or refused; ``None`` merges every source,
            half of the patches.
        backend: As the name in ``choose_backend``, which sees the features.

    Raises:
        ValueError: When it is called, where ``match`` or ``Partition.merged_tokens`` do.

    Source: Bolya et al. (arXiv 2210.09461), section 3. Home section: *Token merging*.
    """

    ratio: float | None = None
    backend: str | None = None

    def __call__(
        self, features: Float[Tensor, "batch token width"], *, layer: int, layout: TokenLayout
    ) -> Groups:
        """The groups, by the cosine of the features; the same rule in every layer."""
        patches = torch.from_numpy(~layout.is_special()).nonzero()[:, 0].to(features.device)
        partition = Partition(layout, destinations=patches[1::2], sources=patches[::2])
        merged = partition.merged_tokens(self.ratio)
        if merged == 0:
            return Groups.singletons(*features.shape[:2], device=features.device)
        found = match(features, partition, backend=self.backend)
        return group(partition, found, merged=merged)


def every_kth_groups(features: Float[Tensor, "batch token width"], *, k: int) -> Groups:
    """Groups of tokens with every k-th as destination, which all others join.

    Tokens behind the last whole ``k`` take no part: the published code drops them, and so the
    groups are of the tokens before them.

    Args:
        features: What the tokens are compared by.
        k: Tokens in a row, the last of which is a destination.

    Raises:
        ValueError: A feature is not finite, ``k`` is below 2 or there are fewer tokens than ``k``.

    Source: code of Bolya et al. (arXiv 2210.09461). Home section: *Token merging*.
    """
    batch, tokens = features.shape[:2]
    if not 2 <= k <= tokens:
        raise ValueError(
            f"k must be at least 2 and at most the {tokens} tokens, got {k}; every k-th token is "
            "a destination"
        )
    rows = directions(features)[:, : tokens // k * k].unflatten(1, (-1, k))
    found = nearest(rows[:, :, :-1].flatten(1, 2), rows[:, :, -1])
    last = torch.arange(tokens // k, device=features.device).expand(batch, -1)
    joined = found.destination.unflatten(1, (-1, k - 1))
    return Groups(torch.cat((joined, last[..., None]), dim=-1).flatten(1), tokens // k)


def merge_schedule(merged: int | tuple[int, float] | list[int], *, layers: int) -> tuple[int, ...]:
    r"""Number of tokens to merge in every layer.

    Args:
        merged: One number :math:`r` for all layers; or :math:`(r, c)` with inflection
            :math:`c \in [-1, 1]`, from :math:`r (1 - c)` in the first layer to :math:`r (1 + c)` in
            the last, rounded down; or a list, followed by zeros.
        layers: Number of layers.

    Raises:
        ValueError: A number is negative, the inflection is out of range, or the list is longer
            than the layers.

    Source: code of Bolya et al. (arXiv 2210.09461), which does not accept one layer.
    Home section: *Token merging*.
    """
    if isinstance(merged, list):
        return _padded(merged, layers)
    mean, inflection = merged if isinstance(merged, tuple) else (merged, 0.0)
    if mean < 0 or layers < 1 or not -1 <= inflection <= 1:
        raise ValueError(
            "a schedule needs a number of at least 0, at least 1 layer and an inflection from -1 "
            f"to 1, got {mean}, {layers} layers and {inflection}; 0 merges alike in all layers"
        )
    if layers == 1:
        return (mean,)
    first = int(mean * (1 - inflection))
    step = 2 * (mean - first) / (layers - 1)
    return tuple(int(first + step * layer) for layer in range(layers))


def _padded(merged: list[int], layers: int) -> tuple[int, ...]:
    if len(merged) > layers or any(number < 0 for number in merged):
        raise ValueError(
            f"a list of merges must have at most {layers} entries, one for each layer, none "
            f"negative, got {merged}; leave out the layers that do not exist"
        )
    return (*merged, *[0] * (layers - len(merged)))


def _nearest_odd(even: Tensor, odd: Tensor, left_out: int) -> Match:
    """The nearest odd token, the first ``left_out`` ones excepted."""
    found = nearest(even, odd[:, left_out:])
    return replace(found, destination=found.destination + left_out)
