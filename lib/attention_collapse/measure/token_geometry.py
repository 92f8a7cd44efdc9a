"""Directions and covariance of many tokens, a chunk of them at a time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from attention_collapse.measure.spread import participation_ratio
from attention_collapse.measure.validation import require_at_least_two, require_finite

# Tokens converted to float64 at a time: 64 MiB at the width of VGGT.
CHUNK = 8192
# Relative distance from a point below which the rounding of a mean in float64 is all there is.
ROUNDING = 16 * torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class TokenGeometry:
    r"""How far a set of tokens is from a single point.

    Attributes:
        mean_cosine: Mean cosine between two distinct tokens.
        participation_ratio: Directions that share the variance of the tokens; NaN where all tokens
            are equal, and no direction has any.
        spread: Root of the trace of the covariance over the norm of the mean: the :math:`W_2`
            distance to the Dirac at the mean, relative to how far out that is. Zero where all
            tokens are equal, NaN where the mean is zero and there is no such scale; both but for
            rounding, 4e-15 of the tokens.
        variances: Eigenvalues of the covariance of the tokens, descending.

    Home section: *Measuring collapse*.
    """

    mean_cosine: float
    participation_ratio: float
    spread: float
    variances: Float64[Tensor, "width"]


def token_geometry(tokens: Float[Tensor, "token width"], *, chunk: int = CHUNK) -> TokenGeometry:
    r"""Geometry of tokens from two passes over them, with sums in float64.

    The first pass gives the means of the tokens and of their directions, the second the covariance
    around the one and the scatter around the other, so that nothing cancels near collapse. Beside
    the tokens a chunk of them and the covariance are held: time grows with tokens times
    width squared, memory with width squared.

    Args:
        tokens: Two or more, none of them zero.
        chunk: Tokens converted at a time.

    Raises:
        ValueError: If there are fewer than two tokens, one is zero or not finite, or the chunk is
            empty.

    Source: the formulas of ``spread``. Home section: *Measuring collapse*.
    """
    require_at_least_two("tokens", tokens, axis=-2)
    require_finite("tokens", tokens)
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1 token, got {chunk}: {CHUNK} is usual.")
    mean, mean_direction = _means(tokens, chunk)
    covariance = mean.new_zeros(len(mean), len(mean))
    scatter = mean.new_zeros(())
    for part in _chunks(tokens, chunk):
        centred = part - mean
        covariance += centred.mT @ centred
        scatter += (part / part.norm(dim=-1, keepdim=True) - mean_direction).square().sum()
    eigenvalues = torch.linalg.eigvalsh(covariance / len(tokens)).clamp(min=0.0)
    return TokenGeometry(
        mean_cosine=float(1 - scatter / (len(tokens) - 1)),
        **_around_the_mean(eigenvalues, float(mean.norm())),
        variances=eigenvalues.flip(0),
    )


def _around_the_mean(eigenvalues: Float64[Tensor, "width"], distance: float) -> dict[str, float]:
    """Participation ratio and spread of tokens whose mean is so far out."""
    deviation = float(eigenvalues.sum().sqrt())
    if deviation <= ROUNDING * distance:
        return {"participation_ratio": math.nan, "spread": 0.0}
    return {
        "participation_ratio": float(participation_ratio(eigenvalues)),
        "spread": math.nan if distance <= ROUNDING * deviation else deviation / distance,
    }


def _means(
    tokens: Float[Tensor, "token width"], chunk: int
) -> tuple[Float64[Tensor, "width"], Float64[Tensor, "width"]]:
    """The mean of the tokens and that of their directions."""
    total = tokens.new_zeros(tokens.shape[-1], dtype=torch.float64)
    directions = torch.zeros_like(total)
    for part in _chunks(tokens, chunk):
        norms = part.norm(dim=-1, keepdim=True)
        if (norms == 0).any():
            raise ValueError(
                f"tokens must not be zero; got {int((norms == 0).sum())} zero tokens in a chunk: a "
                "zero token has no direction, leave it out."
            )
        total += part.sum(0)
        directions += (part / norms).sum(0)
    return total / len(tokens), directions / len(tokens)


def _chunks(tokens: Float[Tensor, "token width"], chunk: int) -> Iterator[Tensor]:
    return (part.double() for part in tokens.split(chunk))
