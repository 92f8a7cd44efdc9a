"""Attention to the reference frame when frames are added: what few frames say about many.

All frames but the first are drawn from one law. Adding more of them leaves the weights of a query
among its other tokens as they are, and divides the odds of the first frame by the number of times
that there are more of them.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logit, rel_entr

from attention_collapse.theory.validation import require_at_least


def diluted_mass(
    mass: Float[np.ndarray, "*query"], *, known: int, frames: int
) -> Float[np.ndarray, "*query"]:
    r"""Mass on the reference frame among many frames, from that among few.

    .. math:: \frac{r_S}{1 - r_S} = \frac{r_{S_0}}{1 - r_{S_0}} \, \frac{S_0 - 1}{S - 1}

    Args:
        mass: :math:`r_{S_0}`, in (0, 1).
        known: :math:`S_0`, two or more.
        frames: :math:`S`, two or more.

    Raises:
        ValueError: If there are fewer than two frames.

    Source: derived in the home section. Home section: *Predicting the profile*.
    """
    require_at_least("known", known, 2, fix="one frame has nothing to compete with")
    require_at_least("frames", frames, 2, fix="one frame has nothing to compete with")
    return expit(logit(mass) + np.log((known - 1) / (frames - 1)))


def diluted_deficit(
    mass: Float[np.ndarray, "*query"],
    reference_deficit: Float[np.ndarray, "*query"],
    other_deficit: Float[np.ndarray, "*query"],
    *,
    known: int,
    frames: int,
) -> Float[np.ndarray, "*query"]:
    r"""Entropy deficit of rows over many frames, from their parts over few.

    .. math:: \ln N - H = r \ln (r S) + (1 - r) \ln \frac{(1 - r) S}{S - 1}
        + r D_{\text{ref}} + (1 - r) D_{\text{other}}

    with the diluted mass :math:`r`, and the deficits of the row within the reference frame and
    within the others, which more frames leave as they are.

    Args:
        mass: Mass on the reference frame among the known frames.
        reference_deficit: :math:`D_{\text{ref}}`, nats.
        other_deficit: :math:`D_{\text{other}}`, nats.
        known: Number of frames at which these are known.
        frames: :math:`S`.

    Raises:
        ValueError: If there are fewer than two frames.

    Source: derived in the home section. Home section: *Predicting the profile*.
    """
    share = diluted_mass(mass, known=known, frames=frames)
    between = rel_entr(share, 1 / frames) + rel_entr(1 - share, 1 - 1 / frames)
    return between + share * reference_deficit + (1 - share) * other_deficit
