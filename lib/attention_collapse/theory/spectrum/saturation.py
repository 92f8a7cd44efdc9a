"""Exponentials that saturate: closed forms kept as logarithms until the end."""

import numpy as np


def saturating_exponential(logarithm: float) -> float:
    r"""Exponential :math:`e^x`, infinite without a warning beyond the range of float64.

    Args:
        logarithm: :math:`x`.

    Source: definition.
    Home section: *The rank profile in closed form*.
    """
    with np.errstate(over="ignore"):
        return float(np.exp(logarithm))
