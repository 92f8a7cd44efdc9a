"""Depth and frames in one law: the landmark flow of attention towards a Dirac.

Every token is a copy of a landmark. A query keeps the share :math:`S_*/(S + S_*)` of its attention
on the copies of its own landmark and spends the share :math:`p = S/(S + S_*)` on all of them, by
content. The cloud is Gaussian, and scores add up along its axes: their form is diagonal there, with
entries of at least zero. Under pre-norm attention
:math:`x \\leftarrow x + \\tau A \\, \\mathrm{LN}(x)` the norm of the tokens grows like the depth
time :math:`t = 1 + \\tau L`, and the Gaussian closure gives, per direction, for the deviation
:math:`\\delta_k` from the mean relative to its start,

.. math:: \\frac{d \\delta_k}{d \\ln t} = -p \\, (1 - a_{k0} \\delta_k^2) \\, \\delta_k.

With :math:`u_k = \\delta_k^2` this is a logistic equation in :math:`\\ln t`. Attention between
distinct landmarks then has the spectrum of ``theory.spectrum`` at sharpness :math:`a_{k0} u_k`.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from attention_collapse.theory import frames as frame_dilution
from attention_collapse.theory.decay import relative_variance
from attention_collapse.theory.spectrum import RankProfile, decay_ratio, rank_profile
from attention_collapse.theory.validation import require_at_least, require_positive


@dataclass(frozen=True)
class CollapseSurface:
    r"""Collapse of landmark tokens over depth and frames.

    .. math:: u_k = \frac{f}{1 - a_{k0} + a_{k0} f}, \qquad f = t^{-2p}, \qquad
        t = 1 + \tau L, \qquad p = \frac{S}{S + S_*}.

    Attributes:
        initial_sharpness: :math:`a_{k0}`, one per direction, each in :math:`[0, 1/\sqrt 2)`.
        dilution_frames: :math:`S_*`, in frames.
        step: :math:`\tau`, depth time of one layer over the initial norm of the tokens.

    Raises:
        ValueError: If an attribute is out of range; the methods raise it for a negative depth
            or fewer than one frame.

    Source: derived in the home section, theorem *Landmark flow*.
    Home section: *The phenomenon*.
    """

    initial_sharpness: tuple[float, ...]
    dilution_frames: float | int
    step: float | int

    def __post_init__(self) -> None:
        require_positive(
            "dilution_frames", self.dilution_frames, fix="see theory.frames.dilution_frames"
        )
        require_positive("step", self.step, fix="a layer must move the tokens")
        decay_ratio(self._initial)  # refuses what the spectrum does not cover
        require_at_least(
            "initial_sharpness", self._initial, 0, fix="content scores must favour like tokens"
        )

    def depth_time(self, depth: int | float) -> float:
        r"""Depth time :math:`t = 1 + \tau L` after ``depth`` layers."""
        require_at_least("depth", depth, 0, fix="count layers from zero")
        return 1.0 + self.step * depth

    def exponent(self, frames: int | float) -> float:
        r"""Share :math:`p = S / (S + S_*)` of attention off the matches, the tail exponent."""
        return frame_dilution.collapse_exponent(frames, self.dilution_frames)

    def relative_variance(
        self, depth: int | float, frames: int | float
    ) -> Float[np.ndarray, "direction"]:
        """Variance :math:`u_k` per direction, relative to its value at depth zero."""
        return relative_variance(
            math.log(self.depth_time(depth)),
            sharpness=self._initial,
            match_share=frame_dilution.second_eigenvalue(frames, self.dilution_frames),
        )

    def sharpness(self, depth: int | float, frames: int | float) -> Float[np.ndarray, "direction"]:
        """Sharpness :math:`a_k = a_{k0} u_k` per direction."""
        return self._initial * self.relative_variance(depth, frames)

    def spread(self, depth: int | float, frames: int | float) -> float:
        r"""Distance to the Dirac relative to its start, for equal initial variances.

        .. math:: \sqrt{\tfrac1d \sum_k u_k}
        """
        return math.sqrt(self.relative_variance(depth, frames).mean())

    def rank_profile(self, depth: int | float, frames: int | float, count: int = 32) -> RankProfile:
        """Rank profile of attention between distinct landmarks, with ``count`` singular values."""
        return rank_profile(self.sharpness(depth, frames), count=count)

    @property
    def _initial(self) -> Float[np.ndarray, "direction"]:
        return np.array(self.initial_sharpness, dtype=np.float64)
