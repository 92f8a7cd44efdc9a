"""The equations of *Token merging* as sympy expressions."""

import sympy
from sympy import Derivative, Subs, exp, log

from attention_collapse.theory.symbolic.identity import Identity
from attention_collapse.theory.symbols import frames, per_frame, score_gap

# A group of keys

scores = sympy.Matrix(sympy.symbols("s_1:4", real=True))
spread = sympy.Symbol("varepsilon", real=True)
group_weight = log(sum(exp(spread * score) for score in scores) / 3)
"""Logarithm of the mean weight of three keys whose scores are scaled by ``spread``."""

group_mean = sum(scores) / 3
group_variance = sum(score**2 for score in scores) / 3 - group_mean**2

# A reference among merged frames

later = sympy.Symbol("K", positive=True)
"""Keys of one point behind the reference."""

group_frames = sympy.Symbol("n", integer=True, positive=True)


def share_difference(own: sympy.Expr, other: sympy.Expr) -> sympy.Expr:
    """Second eigenvalue of attention with one weight on the own point and another on the rest.

    Home section: *Token merging*.
    """
    return (own - other) / (own + (per_frame - 1) * other)


IDENTITIES: tuple[Identity, ...] = (
    Identity(
        "eq-second-order",
        Subs(Derivative(group_weight, (spread, 2)), spread, 0),
        group_variance,
    ),
    Identity(
        "eq-reference-eigenvalue",
        share_difference(exp(score_gap) + later, 1 + later),
        (exp(score_gap) - 1) / (exp(score_gap) - 1 + per_frame * (1 + later)),
    ),
    Identity(
        "eq-unprotected-eigenvalue",
        share_difference(
            exp(score_gap / group_frames) + frames / group_frames - 1, frames / group_frames
        ),
        group_frames
        * (exp(score_gap / group_frames) - 1)
        / (group_frames * (exp(score_gap / group_frames) - 1) + per_frame * frames),
    ),
)
