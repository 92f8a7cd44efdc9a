"""Checks of the arguments of the closed forms."""

import numpy as np
from jaxtyping import Float, Num


def require_at_least(
    name: str, value: int | float | Num[np.ndarray, "*shape"], minimum: int | float, *, fix: str
) -> None:
    """Refuse values below a minimum, and values that are not finite.

    Raises:
        ValueError: If any entry of ``value`` is below ``minimum``, infinite or not a number.

    Home section: *Notation*.
    """
    if not (np.all(np.isfinite(value)) and np.all(np.greater_equal(value, minimum))):
        raise ValueError(f"{name} must be finite and at least {minimum}; got {value}: {fix}.")


def require_positive(
    name: str, value: int | float | Num[np.ndarray, "*shape"], *, fix: str
) -> None:
    """Refuse values that are zero, negative or not finite.

    Raises:
        ValueError: If any entry of ``value`` is not a finite number above zero.

    Home section: *Notation*.
    """
    if not (np.all(np.isfinite(value)) and np.all(np.greater(value, 0))):
        raise ValueError(f"{name} must be finite and positive; got {value}: {fix}.")


def require_square_matrices(width: int, **matrices: Float[np.ndarray, "... _ _"]) -> None:
    """Refuse matrices that are not finite or do not act on the token width.

    Raises:
        ValueError: If the last two axes of a matrix are not ``width`` or an entry is not finite.

    Home section: *Notation*.
    """
    for name, matrix in matrices.items():
        if matrix.shape[-2:] != (width, width):
            raise ValueError(
                f"{name} must end in shape {(width, width)}, the token width; got "
                f"{matrix.shape}: pass matrices that act on the tokens."
            )
        if not np.all(np.isfinite(matrix)):
            raise ValueError(f"{name} must be finite; got a NaN or infinity: clean the input.")


def require_vectors(width: int, **vectors: Float[np.ndarray, "... _"]) -> None:
    """Refuse vectors that are not finite or not of the token width.

    Raises:
        ValueError: If the last axis of an array is not ``width`` or an entry is not finite.

    Home section: *Notation*.
    """
    for name, vector in vectors.items():
        if vector.shape[-1] != width:
            raise ValueError(
                f"{name} must end in an axis of {width}, the token width; got shape "
                f"{vector.shape}: pass vectors of the tokens' space."
            )
        if not np.all(np.isfinite(vector)):
            raise ValueError(f"{name} must be finite; got a NaN or infinity: clean the input.")
