"""Similarity transformations of space: rotation, scale and shift, fitted to pairs of points."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.measure.validation import require_finite


@dataclass(frozen=True)
class Similarity:
    r"""The maps :math:`x \mapsto c R x + t`, one for each entry of a batch.

    Attributes:
        scale: :math:`c`.
        rotation: :math:`R`.
        translation: :math:`t`.

    Home section: *What fails*.
    """

    scale: Float[Tensor, "*batch"]
    rotation: Float[Tensor, "*batch 3 3"]
    translation: Float[Tensor, "*batch 3"]

    def points(self, points: Float[Tensor, "*batch point 3"]) -> Float[Tensor, "*batch point 3"]:
        """Where the points go."""
        turned = points.to(self.rotation) @ self.rotation.mT
        return self.scale[..., None, None] * turned + self.translation[..., None, :]

    def cameras(
        self, world_to_camera: Float[Tensor, "*batch frame 3 4"]
    ) -> Float[Tensor, "*batch frame 3 4"]:
        r"""Cameras that see the moved points at their old pixels, :math:`c` times as deep.

        .. math:: [Q \mid q] \mapsto [Q R^\top \mid c\,q - Q R^\top t]
        """
        turn, shift = world_to_camera.to(self.rotation).split((3, 1), dim=-1)
        turned = turn @ self.rotation.mT[..., None, :, :]
        moved = turned @ self.translation[..., None, :, None]
        return torch.cat((turned, self.scale[..., None, None, None] * shift - moved), dim=-1)

    def then(self, later: "Similarity") -> "Similarity":
        """The map that does this one first and another one after it."""
        shift = later.points(self.translation[..., None, :])[..., 0, :]
        return Similarity(self.scale * later.scale, later.rotation @ self.rotation, shift)


def fit_similarity(
    source: Float[Tensor, "*batch point 3"],
    target: Float[Tensor, "*batch point 3"],
    *,
    weights: Float[Tensor, "*batch point"] | None = None,
) -> Similarity:
    r"""The similarity that minimises :math:`\sum_i w_i \lVert c R x_i + t - y_i \rVert^2`.

    With weighted means :math:`\bar x, \bar y`, variance :math:`\sigma_x^2` and covariance
    :math:`\sum_i w_i (y_i - \bar y)(x_i - \bar x)^\top / \sum_i w_i = U D V^\top`,

    .. math:: R = U S V^\top, \quad c = \operatorname{tr}(D S) / \sigma_x^2, \quad
        t = \bar y - c R \bar x, \quad S = \operatorname{diag}(1, 1, \det U V^\top).

    Computed in float64. Points on a line leave the turn about it open.

    Args:
        source: :math:`x_i`.
        target: :math:`y_i`.
        weights: :math:`w_i`, positive; ``None`` weighs all alike.

    Raises:
        ValueError: A number is not finite, a weight is not positive, or all source points of an
            entry are one.

    Source: Umeyama, Least-squares estimation of transformation parameters between two point
    patterns (1991). Home section: *What fails*.
    """
    require_finite("source", source)
    require_finite("target", target)
    x, y = source.double(), target.double()
    share = _shares(x, weights)
    x_mean, y_mean = ((share * points).sum(-2, keepdim=True) for points in (x, y))
    x, y = x - x_mean, y - y_mean
    variance = (share * x.square()).sum((-2, -1))
    if not (variance > 0).all():
        raise ValueError(
            "source points must differ, got an entry with all of them at one place; no scale leads "
            "from a point to a cloud"
        )
    left, values, right = torch.linalg.svd((share * y).mT @ x)
    signs = torch.ones_like(values)
    signs[..., 2] = torch.linalg.det(left @ right).sign()
    rotation = (left * signs[..., None, :]) @ right
    scale = (values * signs).sum(-1) / variance
    shift = y_mean - scale[..., None, None] * (x_mean @ rotation.mT)
    return Similarity(scale, rotation, shift[..., 0, :])


def _shares(
    points: Float[Tensor, "*batch point 3"], weights: Tensor | None
) -> Float[Tensor, "*batch point 1"]:
    if weights is None:
        return torch.full_like(points[..., :1], 1 / points.shape[-2])
    if not (weights > 0).all():
        raise ValueError(
            f"weights must be positive, got {weights.min():.3g} as the smallest; leave points that "
            "count for nothing out"
        )
    wide = weights.double()
    return (wide / wide.sum(-1, keepdim=True))[..., None]
