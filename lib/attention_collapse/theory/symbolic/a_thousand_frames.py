"""The equations of *A thousand frames* as sympy expressions."""

import sympy
from sympy import Derivative, Integral, Symbol, exp, oo, sqrt

from attention_collapse.theory.symbolic.depth_and_frames import diluted
from attention_collapse.theory.symbolic.identity import Identity
from attention_collapse.theory.symbols import (
    dilution_frames,
    frames,
    key,
    matches,
    other_weight,
    per_frame,
    score_gap,
    sharpness,
    tokens,
)

# Gaussian tokens in one direction

_variable = Symbol("x", real=True)
_linear, _precision = Symbol("b", real=True), Symbol("A", positive=True)

gaussian_integral = Integral(
    exp(_linear * _variable - _precision * _variable**2 / 2) / sqrt(2 * sympy.pi),
    (_variable, -oo, oo),
)
integrated = exp(_linear**2 / (2 * _precision)) / sqrt(_precision)


def gaussian_mean(linear: sympy.Expr, precision: sympy.Expr) -> sympy.Expr:
    """Mean of ``exp(linear x + (1 - precision) x^2 / 2)`` over a standard normal ``x``.

    Home section: *A thousand frames*.
    """
    return integrated.subs({_linear: linear, _precision: precision}, simultaneous=True)


received = gaussian_mean(sharpness * key, 1 + sharpness**2)
"""What a key receives from all queries, over the mean of all keys."""

received_square = gaussian_mean(sympy.Integer(0), 1 - 2 * sharpness**2 / (1 + sharpness**2)) / (
    1 + sharpness**2
)
"""Its mean square over the keys."""

weight_square = gaussian_mean(sympy.Integer(0), 1 - 2 * sharpness**2)
"""Mean square of all weights over their mean."""

# Windows

other_square = Symbol("f_2", positive=True)
_weight = matches * exp(score_gap) + (tokens - matches) * other_weight

match_share = matches * exp(score_gap) / _weight
match_energy = tokens * matches * exp(2 * score_gap) / _weight**2
other_energy = tokens * (tokens - matches) * other_square / _weight**2
r"""The two parts of :math:`\|A\|_F^2`: of matches and of all others."""


diluted_share = (dilution_frames + matches / per_frame) / (frames + dilution_frames)
diluted_energy = (
    (matches + per_frame * dilution_frames) ** 2
    / (matches * per_frame)
    * frames
    / (frames + dilution_frames) ** 2
)
_rise = Derivative(frames / (frames + dilution_frames) ** 2, frames)

_in_scores = {dilution_frames: diluted, tokens: frames * per_frame}

IDENTITIES: tuple[Identity, ...] = (
    Identity("eq-gaussian-integral", gaussian_integral, integrated),
    Identity("eq-window-mass", match_share.subs(_in_scores), diluted_share.subs(_in_scores)),
    Identity("eq-window-energy", match_energy.subs(_in_scores), diluted_energy.subs(_in_scores)),
    Identity(
        "eq-window-rise",
        _rise,
        (dilution_frames - frames) / (frames + dilution_frames) ** 3,
    ),
)
"""Displayed equations that sympy checks."""
