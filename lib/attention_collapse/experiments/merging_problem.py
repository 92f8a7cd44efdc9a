"""One global layer of VGGT's size on the tokens of a panning camera, made for merging."""

import dataclasses

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from attention_collapse.tokens import TokenLayout

# Points of the scene for each row of patches; the camera comes round after as many patches.
POINTS_PER_ROW = 292
# Patches by which the camera moves from frame to frame.
DRIFT = 2
# Numbers that tell points apart, whose spread falls as a power of their place.
CONTENT, DECAY = 256, 0.35
# Spread of what all tokens share, of what those of a frame share, and of special tokens.
COMMON, FRAME, SPECIAL = 1.0, 0.3, 2.0


@dataclasses.dataclass(frozen=True)
class MergingProblem:
    """Tokens of a scene and the heads made from them.

    Attributes:
        layout: Where each token sits.
        tokens: Normalised tokens, by which they are compared.
        query: Queries after norm.
        key: Keys after norm.
        value: Values.
        spots: Queries at which outputs are compared with float64.

    Home section: *Token merging*.
    """

    layout: TokenLayout
    tokens: Float[Tensor, "1 token width"]
    query: Float[Tensor, "1 head token dim"]
    key: Float[Tensor, "1 head token dim"]
    value: Float[Tensor, "1 head token dim"]
    spots: Int64[Tensor, "spot"]

    def exact(self) -> Float[Tensor, "spot width"]:
        """Unmerged attention at the spots in float64, heads side by side."""
        query = self.query[0][:, self.spots].double() / self.query.shape[-1] ** 0.5
        outputs = []
        # One head at a time: float64 copies of all would take four times their memory.
        for asking, key, value in zip(query, self.key[0], self.value[0], strict=True):
            outputs.append((asking @ key.double().mT).softmax(-1) @ value.double())
        return torch.stack(outputs, 1).flatten(1)


def relative_errors(
    output: Float[Tensor, "spot width"], exact: Float[Tensor, "spot width"]
) -> tuple[float, float]:
    """Distance from the exact output, over its norm and over its spread around its mean.

    Home section: *Token merging*.
    """
    distance = (output.double() - exact).norm()
    spread = (exact - exact.mean(0)).norm()
    return float(distance / exact.norm()), float(distance / spread)


def panning_tokens(
    layout: TokenLayout, *, width: int, noise: float, generator: torch.Generator, dtype: torch.dtype
) -> Float[Tensor, "1 token width"]:
    """Normalised tokens of a camera that pans over a scene.

    Patch (y, x) of frame t sees the point (y, x + 2 t) of the scene. A token is what all tokens
    share, what its frame adds, what its point is, and noise; special tokens are the same in all
    frames but for the noise.

    Args:
        layout: Where each token sits.
        width: Channels of a token.
        noise: Spread of the noise; a point has spread one.
        generator: Source of the numbers, and their device.
        dtype: Number format of the result.

    Home section: *Token merging*.
    """
    draw = {"generator": generator, "device": generator.device}
    places = torch.arange(CONTENT, device=generator.device) + 1.0
    spectrum = places**-DECAY / (places**-DECAY).norm()
    basis = spectrum[:, None] * torch.randn(CONTENT, width, **draw)
    points = torch.randn(layout.rows, POINTS_PER_ROW, CONTENT, **draw)
    common = COMMON * torch.randn(width, **draw)
    special = SPECIAL * torch.randn(layout.special, width, **draw)
    columns = torch.arange(layout.columns, device=generator.device)
    tokens = torch.empty(1, layout.count, width, dtype=dtype, device=generator.device)
    for frame in range(layout.frames):
        seen = points[:, (columns + DRIFT * frame) % POINTS_PER_ROW].flatten(0, 1) @ basis
        seen = seen + common + FRAME * torch.randn(width, **draw)
        clean = torch.cat((special, seen))
        noisy = clean + noise * torch.randn(clean.shape, **draw)
        start = frame * layout.per_frame
        tokens[0, start : start + layout.per_frame] = F.layer_norm(noisy, (width,)).to(dtype)
    return tokens


def make_problem(
    layout: TokenLayout,
    *,
    heads: int,
    dim: int,
    noise: float,
    sharpness: float,
    spots: int,
    generator: torch.Generator,
    dtype: torch.dtype,
) -> MergingProblem:
    """Tokens of a panning camera, and heads by random linear maps.

    Half of the map to the queries is that to the keys, so that tokens of one point attend to each
    other. Queries and keys are normalised as in VGGT; the queries are then multiplied.

    Args:
        layout: Where each token sits.
        heads: Attention heads.
        dim: Their dimension.
        noise: As in ``panning_tokens``.
        sharpness: Factor of the queries.
        spots: Queries to compare, spread evenly over the scene.
        generator: Source of the numbers, and their device.
        dtype: Number format.

    Home section: *Token merging*.
    """
    width = heads * dim
    tokens = panning_tokens(layout, width=width, noise=noise, generator=generator, dtype=dtype)
    maps = torch.randn(3, width, width, generator=generator, device=generator.device)
    maps[0] = (maps[0] + maps[1]) / 2**0.5
    query, key, value = (
        (tokens @ (one / width**0.5).to(dtype)).unflatten(-1, (heads, dim)).transpose(1, 2)
        for one in maps
    )
    query = F.layer_norm(query, (dim,)).mul_(sharpness)
    checked = torch.linspace(0, layout.count - 1, spots, device=generator.device).long()
    return MergingProblem(
        layout,
        tokens,
        query.contiguous(),
        F.layer_norm(key, (dim,)).contiguous(),
        value.contiguous(),
        checked,
    )
