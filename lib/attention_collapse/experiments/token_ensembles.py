"""Tokens without a network: independent ones, and windows in which frames show the same points.

A token is :math:`x = (c, z)`. The common coordinate :math:`c` is the same for all and takes no part
in the scores :math:`\\beta z_i^\\top B z_j`, which the number of frames does not change.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.special import hyp0f1
from torch import Tensor

from attention_collapse.experiments.closed_forms import gaussian_distance_from_rank_one
from attention_collapse.theory import frames as frame_dilution
from attention_collapse.theory import spectrum
from attention_collapse.theory.long_context import crossover_tokens


@dataclass(frozen=True)
class TokenEnsemble:
    r"""Tokens of every head, the scores between them, and what theory says of their attention.

    Attributes:
        tokens: :math:`x_i`, for the most frames; fewer frames are the first of them.
        rotation: :math:`B` by head, orthogonal on the coordinates behind the common one.
        scale: :math:`\beta`.
        tokens_per_frame: :math:`P`.
        group: the point that each token shows.
        predict: closed forms of its attention at a number of frames, by name.

    Home section: *A thousand frames*.
    """

    tokens: Float[Tensor, "head token dim"]
    rotation: Float[Tensor, "head dim dim"]
    scale: float
    tokens_per_frame: int
    group: Int64[Tensor, "token"]
    predict: Callable[[int], dict[str, float]]

    def queries_and_keys(
        self, tokens: Float[Tensor, "head token dim"]
    ) -> tuple[Float[Tensor, "head token dim"], Float[Tensor, "head token dim"]]:
        r"""Queries and keys with scores :math:`q^\top k / \sqrt d = \beta z_i^\top B z_j`."""
        factor = math.sqrt(self.scale * math.sqrt(tokens.shape[-1]))
        key = tokens * factor
        key[..., 0] = 0
        return key @ self.rotation, key

    def first(self, frames: int) -> Float[Tensor, "head token dim"]:
        """The tokens of the first frames."""
        return self.tokens[:, : frames * self.tokens_per_frame]

    def match_mass(
        self,
        query: Float[Tensor, "head token dim"],
        key: Float[Tensor, "head token dim"],
        log_sum_exp: Float[Tensor, "head token"],
    ) -> Float[Tensor, "head"]:
        r"""Mean mass that a token puts on those that show its point, itself among them.

        They are equal, so that the mass is their number times :math:`e^{S_{ii} - l_i}`.
        """
        group = self.group[: query.shape[1]]
        matches = group.bincount()[group]
        own = (query.double() * key.double()).sum(-1) / math.sqrt(query.shape[-1])
        return (matches * (own - log_sum_exp.double()).exp()).mean(-1)


def independent(
    frames: int,
    *,
    tokens_per_frame: int,
    heads: int,
    dim: int,
    score_deviation: float,
    common: float,
    generator: torch.Generator,
    dtype: torch.dtype,
) -> TokenEnsemble:
    r"""Independent Gaussian tokens whose scores are those of other directions.

    :math:`z \sim \mathcal N(0, I/D)` in :math:`D = d - 1` coordinates, and :math:`B` is a random
    rotation, so that no token matches itself. The sharpness is :math:`s/\sqrt D` in each direction
    for scores of deviation :math:`s`, whatever the number of tokens.

    Args:
        frames: most frames.
        tokens_per_frame: :math:`P`.
        heads: independent draws.
        dim: :math:`d`, the common coordinate included.
        score_deviation: :math:`s`.
        common: :math:`c`.
        generator: source of the draws, on the device of the tokens.
        dtype: of the tokens.

    Home section: *A thousand frames*.
    """
    spread = dim - 1
    draws = _normal((heads, frames * tokens_per_frame, spread), generator, dtype)
    rotation = torch.linalg.qr(_normal((heads, spread, spread), generator, dtype)).Q
    sharpness = np.full(spread, score_deviation / math.sqrt(spread))

    def predict(count: int) -> dict[str, float]:
        return _independent_forms(sharpness, count * tokens_per_frame)

    return TokenEnsemble(
        tokens=_with_common(draws / math.sqrt(spread), common),
        rotation=torch.nn.functional.pad(rotation, (1, 0, 1, 0)),
        scale=score_deviation * math.sqrt(spread),
        tokens_per_frame=tokens_per_frame,
        group=torch.arange(frames * tokens_per_frame, device=draws.device),
        predict=predict,
    )


def _independent_forms(sharpness: Float[np.ndarray, "direction"], tokens: int) -> dict[str, float]:
    variance = float((sharpness**2).sum())
    _, diffuse = crossover_tokens(variance)
    return {
        # The law of many tokens; before the crossover it is not one of this row.
        "entropy_deficit": variance / 2 if tokens >= diffuse else math.nan,
        "singular_ratio": float(spectrum.decay_ratio(sharpness).max()),
        "stable_rank": spectrum.stable_rank(sharpness),
        "distance_from_rank_one": gaussian_distance_from_rank_one(sharpness),
    }


def windows(
    frames: int,
    *,
    tokens_per_frame: int,
    heads: int,
    dim: int,
    matches: int,
    match_score: float,
    common: float,
    generator: torch.Generator,
    dtype: torch.dtype,
) -> TokenEnsemble:
    r"""Frames that show the same points in windows: bounded scores, a bounded number of matches.

    Every ``matches`` frames in a row show the same :math:`P` points, whose tokens are equal. The
    :math:`z` of a point is a random unit vector, and :math:`B = I`: a match scores
    :math:`\beta`, other points score around zero.

    Args:
        frames: most frames.
        tokens_per_frame: :math:`P`.
        heads: independent draws.
        dim: :math:`d`, the common coordinate included.
        matches: :math:`M`, frames of a window.
        match_score: :math:`\beta`.
        common: :math:`c`.
        generator: source of the draws, on the device of the tokens.
        dtype: of the tokens.

    Home section: *A thousand frames*.
    """
    spread = dim - 1
    points = -(-frames // matches) * tokens_per_frame
    draws = _normal((heads, points, spread), generator, dtype)
    index = torch.arange(frames * tokens_per_frame, device=draws.device)
    frame, slot = index // tokens_per_frame, index % tokens_per_frame
    group = frame // matches * tokens_per_frame + slot

    def predict(count: int) -> dict[str, float]:
        return _window_forms(count, min(matches, count), tokens_per_frame, match_score, spread)

    unit = draws / draws.norm(dim=-1, keepdim=True)
    identity = torch.eye(dim, dtype=dtype, device=draws.device)
    return TokenEnsemble(
        tokens=_with_common(unit, common)[:, group],
        rotation=identity.repeat(heads, 1, 1),
        scale=match_score,
        tokens_per_frame=tokens_per_frame,
        group=group,
        predict=predict,
    )


def _window_forms(
    frames: int, matches: int, tokens_per_frame: int, match_score: float, directions: int
) -> dict[str, float]:
    r"""Dilution among points whose weight is the mean of :math:`e^{\beta u^\top v}`.

    With the share :math:`\lambda_2` on its matches and the rest on all points by content, the
    second singular value is that of both together.
    """
    other_weight = float(hyp0f1(directions / 2, match_score**2 / 4))
    dilution = frame_dilution.dilution_frames(
        matches, tokens_per_frame, match_score, other_weight=other_weight
    )
    share = float(frame_dilution.second_eigenvalue(frames, dilution))
    content = float(spectrum.decay_ratio(np.array([match_score / directions])).max())
    return {
        "match_mass": share + (1 - share) * matches / (frames * tokens_per_frame),
        "singular_ratio": share + (1 - share) * content,
    }


def _with_common(
    deviations: Float[Tensor, "head token direction"], common: float
) -> Float[Tensor, "head token dim"]:
    return torch.nn.functional.pad(deviations, (1, 0), value=common)


def _normal(
    shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype
) -> Float[Tensor, "head row direction"]:
    return torch.randn(shape, generator=generator, device=generator.device, dtype=dtype)
