"""The notation of the theory as sympy symbols, each defined once.

``NOTATION`` lists symbol, meaning and unit; the theory table of the notation page has these rows.
"""

from typing import NamedTuple

import sympy


class Entry(NamedTuple):
    """One row of the notation: a symbol, what it means and its unit or shape.

    Home section: *Notation*.
    """

    symbol: sympy.Symbol
    meaning: str
    unit: str


NOTATION: list[Entry] = []
"""Every symbol below, in the order of the notation page."""


def _symbol(latex: str, meaning: str, unit: str = "1", **assumptions: bool) -> sympy.Symbol:
    symbol = sympy.Symbol(latex, **(assumptions or {"positive": True}))
    NOTATION.append(Entry(symbol, meaning, unit))
    return symbol


# Depth and frames
step = _symbol(r"\tau", "step of one layer")
layers = _symbol(
    "L", "layer index, counted in global layers", "layer", integer=True, nonnegative=True
)
time = _symbol("t", r"depth time: $\tau L$; under pre-norm $1+\tau L$, the norm of the tokens")
frames = _symbol("S", "number of frames", "frame")
per_frame = _symbol("P", "tokens per frame: five special tokens and the patches", "token")
tokens = _symbol("N", "tokens of a scene, $SP$", "token")

# Law of the tokens
query = _symbol("x", "a token as query", "$d$", real=True)
key = _symbol("y", "a token as key", "$d$", real=True)
directions = _symbol("d", "number of directions of the tokens", integer=True, positive=True)
density = sympy.Function("rho")
mean = _symbol("m", "mean of the tokens", "$d$", real=True)
variance = _symbol(r"\lambda", "variance along one direction, an eigenvalue of the covariance")
initial_variance = _symbol(r"\lambda_0", "variance at depth zero")
bilinear = _symbol("b", "score coefficient along one direction, an eigenvalue of $B$")
contraction = _symbol("c", "strength of values that point back to the mean, $V=-c$")
sharpness = _symbol("a", r"sharpness $a=\lambda b$ along one direction", real=True)
decay = _symbol("q", "decay ratio of the singular values along one direction")

# Tokens on a sphere
cosine = _symbol(r"\omega", "common cosine of equiangular tokens")
initial_cosine = _symbol(r"\omega_0", "common cosine at depth zero")
norm = _symbol("r", "norm of the tokens")
initial_norm = _symbol("r_0", "norm of the tokens at depth zero")
temperature = _symbol(r"\beta", "factor of the scores between normalised tokens")
concentration = _symbol(r"\kappa", "score of two equal directions on the sphere")
order = _symbol(r"\nu", r"order of the Bessel functions, $d/2-1$", real=True)

# Matches
matches = _symbol("M", "true matches of a query, a number that frames do not raise", "token")
score_gap = _symbol(r"s_\ast", "score of a match above the rest")
score_deviation = _symbol("s", "standard deviation of the scores of one query")
dilution_frames = _symbol(r"S_\ast", "number of frames at which $p$ is one half", "frame")
exponent = _symbol("p", r"collapse exponent $S/(S+S_\ast)$: the spread falls like $t^{-p}$")
second_eigenvalue = _symbol(r"\lambda_2", "second eigenvalue of attention, $1-p$")
other_weight = _symbol("f", "factor on the softmax weight of tokens that are no match")
spread = _symbol(r"\delta", "spread, the relative distance to a Dirac measure")
relative_variance = _symbol("u", "variance relative to its start")
