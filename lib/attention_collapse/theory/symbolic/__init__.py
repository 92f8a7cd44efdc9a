"""The displayed equations of the book as sympy expressions.

One module for each chapter. It holds the expressions that the numeric functions are tested
against, and ``IDENTITIES``, the displayed equations that sympy checks; here they are together.
"""

from attention_collapse.theory.symbolic import (
    a_thousand_frames,
    degenerate_diffusion,
    depth_and_frames,
    dirac_rate,
    mean_field,
    measuring_collapse,
    rank_profile,
    token_merging,
)
from attention_collapse.theory.symbolic.identity import Identity

IDENTITIES: tuple[Identity, ...] = (
    *mean_field.IDENTITIES,
    *degenerate_diffusion.IDENTITIES,
    *dirac_rate.IDENTITIES,
    *rank_profile.IDENTITIES,
    *depth_and_frames.IDENTITIES,
    *measuring_collapse.IDENTITIES,
    *a_thousand_frames.IDENTITIES,
    *token_merging.IDENTITIES,
)
"""Every identity, in the order of the chapters."""
