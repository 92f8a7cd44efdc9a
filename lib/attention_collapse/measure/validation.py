"""Checks of the tensors that are measured."""

from jaxtyping import Float
from torch import Tensor


def require_finite(name: str, tensor: Float[Tensor, "*shape"]) -> None:
    """Refuse a tensor without entries, or with entries that are not finite.

    Raises:
        ValueError: If the tensor is empty, or an entry is infinite or not a number.

    Home section: *Notation*.
    """
    if tensor.numel() == 0:
        raise ValueError(
            f"{name} must have entries; got shape {tuple(tensor.shape)}: pass a non-empty tensor."
        )
    finite = tensor.isfinite()
    if not finite.all():
        raise ValueError(
            f"{name} must be finite; got {int((~finite).sum())} entries that are not, of "
            f"{tensor.numel()}: find the operation that made them."
        )


def require_at_least_two(name: str, tensor: Float[Tensor, "*shape"], *, axis: int) -> None:
    """Refuse a tensor with fewer than two entries along an axis.

    Raises:
        ValueError: If the axis is shorter than two.

    Home section: *Notation*.
    """
    if tensor.shape[axis] < 2:
        raise ValueError(
            f"{name} must number at least two; got {tensor.shape[axis]} in shape "
            f"{tuple(tensor.shape)}: the measure compares one with another."
        )
