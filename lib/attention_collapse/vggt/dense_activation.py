"""Activations of the dense head: from the last convolution's numbers to values and confidence."""

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

ValueActivation = Literal[
    "exp", "inverse_log", "xy_inverse_log", "norm_exp", "norm", "relu", "sigmoid", "linear"
]
"""Names of the activations of ``activate_values``."""

ConfidenceActivation = Literal["one_plus_exp", "exp", "sigmoid"]
"""Names of the activations of ``activate_confidence``."""

# Keeps the direction of a zero vector finite.
SMALLEST_NORM = 1e-8


def inverse_log(raw: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    r"""The inverse of a signed logarithm, :math:`\operatorname{sign}(y)\,(e^{|y|} - 1)`.

    It is close to :math:`y` near zero and grows exponentially to both sides.

    Source: the point head of VGGT (arXiv 2503.11651). Home section: *Notation*.
    """
    return raw.sign() * raw.abs().expm1()


def activate_values(
    raw: Float[Tensor, "*axes channel"], activation: ValueActivation
) -> Float[Tensor, "*axes channel"]:
    r"""The values that the last axis of ``raw`` stands for.

    With :math:`y` the channels of one pixel and :math:`g` the function ``inverse_log``:

    - ``exp``: :math:`e^y`, always positive, for depth;
    - ``inverse_log``: :math:`g(y)`, any sign and scale, for points;
    - ``xy_inverse_log``: depth :math:`g(y_3)` and the ray through it,
      :math:`(y_1 g(y_3),\; y_2 g(y_3),\; g(y_3))`;
    - ``norm_exp``: :math:`y / |y|` times :math:`e^{|y|} - 1`;
    - ``norm``: the direction :math:`y / |y|`;
    - ``relu``, ``sigmoid``, ``linear``: :math:`\max(y, 0)`, :math:`1 / (1 + e^{-y})`, :math:`y`.

    Norms are taken as at least :math:`10^{-8}`.

    Args:
        raw: Numbers of the last convolution, channels last.
        activation: Name of the activation.

    Raises:
        ValueError: No activation has this name.

    Home section: *Notation*.
    """
    check_activation(activation, ValueActivation)
    return VALUE_ACTIVATIONS[activation](raw)


def activate_confidence(
    raw: Float[Tensor, "*axes"], activation: ConfidenceActivation
) -> Float[Tensor, "*axes"]:
    r"""The confidence of each pixel: :math:`1 + e^y`, :math:`e^y` or :math:`1 / (1 + e^{-y})`.

    Args:
        raw: One number of the last convolution per pixel.
        activation: Name of the activation.

    Raises:
        ValueError: No activation has this name.

    Home section: *Notation*.
    """
    check_activation(activation, ConfidenceActivation)
    return CONFIDENCE_ACTIVATIONS[activation](raw)


def check_activation(name: str, names: object) -> None:
    """Refuse a name that is not in the list ``names``, ``ValueActivation`` or its counterpart.

    Raises:
        ValueError: No activation has this name.

    Home section: *Notation*.
    """
    known = get_args(names)
    if name not in known:
        raise ValueError(f"no activation is called {name!r}; use one of {', '.join(known)}")


def _ray(raw: Float[Tensor, "*axes channel"]) -> Float[Tensor, "*axes channel"]:
    depth = inverse_log(raw[..., 2:])
    return torch.cat((raw[..., :2] * depth, depth), dim=-1)


def _norm(raw: Float[Tensor, "*axes channel"]) -> Float[Tensor, "*axes 1"]:
    return raw.norm(dim=-1, keepdim=True).clamp(min=SMALLEST_NORM)


VALUE_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "exp": torch.exp,
    "inverse_log": inverse_log,
    "xy_inverse_log": _ray,
    "norm_exp": lambda raw: raw / _norm(raw) * _norm(raw).expm1(),
    "norm": lambda raw: raw / _norm(raw),
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "linear": lambda raw: raw,
}

CONFIDENCE_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "one_plus_exp": lambda raw: 1 + raw.exp(),
    "exp": torch.exp,
    "sigmoid": torch.sigmoid,
}
