"""Points inside the network where a caller can look."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Observe = Callable[[str, Tensor], None]
"""Called with the name of an observation point and the tensor there, as soon as it exists.

The tensor is the network's own: an observer may read it or copy it, not change it. The network
lets go of it as soon as it has no use for it.
"""

WEIGHTS = "attention.weights"
"""The one point that is made for the observer alone, and only when a ``Watch`` names it."""

BLOCK_POINTS = (
    "attention.query",
    "attention.key",
    "attention.value",
    WEIGHTS,
    "attention.output",
    "output",
)
"""Every observation point of a block, in the order in which they are reached."""

# Queries whose weights are made at once: bounds the scores beside the weights themselves.
WEIGHT_ROWS = 1024


@dataclass(frozen=True)
class Watch:
    """An observer that sees the points it names and no other.

    A plain observer sees every point but the attention weights, which the network itself never
    makes. A watch sees them where it names them, and leaves blocks alone in which it names nothing.

    Args:
        names: Observation points, as in ``global.07.attention.weights``.
        report: Called with the name and the tensor of each.

    Home section: *The phenomenon*.
    """

    names: frozenset[str]
    report: Observe

    def __call__(self, name: str, tensor: Tensor) -> None:
        """Pass on the tensor if its point is watched."""
        if name in self.names:
            self.report(name, tensor)


def scoped(observe: Observe | None, scope: str) -> Observe | None:
    """The observer that puts ``scope`` and a dot before every name it passes on.

    Of a ``Watch`` it is the part below ``scope``: nothing where no name starts with it.

    Home section: *Notation*.
    """
    if observe is None:
        return None
    prefix = f"{scope}."

    def pass_on(name: str, tensor: Tensor) -> None:
        observe(prefix + name, tensor)

    if not isinstance(observe, Watch):
        return pass_on
    inside = frozenset(
        name.removeprefix(prefix) for name in observe.names if name.startswith(prefix)
    )
    return Watch(inside, pass_on) if inside else None


def asks_for(observe: Observe | None, name: str) -> bool:
    """Whether the observer names a point that is made on request only.

    Home section: *Notation*.
    """
    return isinstance(observe, Watch) and name in observe.names


def check_watched(observe: Observe | None, points: frozenset[str]) -> None:
    """Refuse a ``Watch`` on points that do not exist.

    Raises:
        ValueError: A name is not one of ``points``.

    Home section: *Notation*.
    """
    absent = sorted(observe.names - points) if isinstance(observe, Watch) else []
    if absent:
        raise ValueError(
            f"a watch must name observation points of the network, got {absent[:3]} "
            f"({len(absent)} unknown); names look like {max(points)!r}"
        )


def attention_weights(
    query: Float[Tensor, "batch head query dim"],
    key: Float[Tensor, "batch head key dim"],
    key_bias: Float[Tensor, "batch key"] | None = None,
) -> Float[Tensor, "batch head query key"]:
    r"""The weights :math:`\operatorname{softmax}(Q K^\top / \sqrt{d} + b)`, by head.

    Made a few rows at a time in the type of the query, so that the scores never exist beside all
    weights.

    Args:
        query: Queries after norm and rotation.
        key: Keys after norm and rotation.
        key_bias: :math:`b`, added to every score of a key.

    Source: Vaswani et al. (arXiv 1706.03762), section 3.2. Home section: *The phenomenon*.
    """
    weights = query.new_empty(*query.shape[:-1], key.shape[-2])
    bias = 0 if key_bias is None else key_bias[:, None, None, :]
    for start in range(0, query.shape[-2], WEIGHT_ROWS):
        rows = slice(start, start + WEIGHT_ROWS)
        scores = query[..., rows, :] @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        weights[..., rows, :] = torch.softmax(scores + bias, dim=-1)
    return weights
