"""The displayed equations of the theory as sympy expressions.

One module for each chapter. It holds the expressions that the numeric functions are tested
against, and ``IDENTITIES``, the displayed equations that sympy checks; here they are together.
"""

from attention_collapse.theory.symbolic import (
    degenerate_diffusion,
    depth_and_frames,
    dirac_rate,
    mean_field,
    rank_profile,
)
from attention_collapse.theory.symbolic.identity import Identity

IDENTITIES: tuple[Identity, ...] = (
    *mean_field.IDENTITIES,
    *degenerate_diffusion.IDENTITIES,
    *dirac_rate.IDENTITIES,
    *rank_profile.IDENTITIES,
    *depth_and_frames.IDENTITIES,
)
"""Every identity of the theory part, in the order of its chapters."""
