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


def require_exponent(name: str, exponent: int | float) -> None:
    """Refuse exponents whose exponential is beyond float64.

    Raises:
        ValueError: If ``exponent`` is above 700; :math:`e^{700}` is close to the largest float64.

    Home section: *Notation*.
    """
    if exponent > 700.0:
        raise ValueError(
            f"{name} must be at most 700, for its exponential to be a float64; got {exponent}: "
            "take the scores after division by sqrt(d)."
        )


def require_covariances(width: int, **covariances: Float[np.ndarray, "... _ _"]) -> None:
    """Refuse matrices that are not symmetric or have a variance below zero.

    Raises:
        ValueError: If a matrix is not finite, not of the token width, not symmetric or has an
            eigenvalue below zero, beyond rounding.

    Home section: *Notation*.
    """
    require_square_matrices(width, **covariances)
    for name, matrix in covariances.items():
        rounding = 1e-10 * np.abs(matrix).max(initial=0.0)
        asymmetry = np.abs(matrix - matrix.swapaxes(-2, -1)).max(initial=0.0)
        if asymmetry > rounding or np.linalg.eigvalsh(matrix).min(initial=0.0) < -rounding:
            raise ValueError(
                f"{name} must be symmetric with variances of at least zero; got "
                f"{matrix.tolist()}: compute it as a mean of outer products."
            )


def require_ascending_times(depth_times: Float[np.ndarray, "time"]) -> None:
    """Refuse depth times that are missing, negative or out of order.

    Raises:
        ValueError: If there are no times, one is negative or not finite, or they do not ascend.

    Home section: *Notation*.
    """
    if depth_times.size == 0:
        raise ValueError("depth_times must have entries; got none: pass the times to report.")
    require_at_least("depth_times", depth_times, 0, fix="count depth from the first layer")
    if not np.all(np.diff(depth_times) > 0):
        raise ValueError(f"depth_times must ascend; got {depth_times}: sort them, without repeats.")
