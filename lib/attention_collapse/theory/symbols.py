"""The notation of the theory as sympy symbols, each defined once.

``NOTATION`` lists symbol, meaning and unit; the theory table of the notation page has these rows.
"""

from typing import NamedTuple

from sympy import Symbol

# Depth and frames
step = Symbol(r"\tau", positive=True)
layers = Symbol("L", integer=True, nonnegative=True)
time = Symbol("t", positive=True)
frames = Symbol("S", positive=True)
per_frame = Symbol("P", positive=True)
tokens = Symbol("N", positive=True)

# Law of the tokens
query = Symbol("x", real=True)
key = Symbol("y", real=True)
directions = Symbol("d", integer=True, positive=True)
mean = Symbol("m", real=True)
variance = Symbol(r"\lambda", positive=True)
initial_variance = Symbol(r"\lambda_0", positive=True)
bilinear = Symbol("b", positive=True)
contraction = Symbol("c", positive=True)
sharpness = Symbol("a", real=True)
decay = Symbol("q", positive=True)

# Tokens on a sphere
cosine = Symbol(r"\omega", positive=True)
initial_cosine = Symbol(r"\omega_0", positive=True)
norm = Symbol("r", positive=True)
temperature = Symbol(r"\beta", positive=True)
concentration = Symbol(r"\kappa", positive=True)
order = Symbol(r"\nu", real=True)

# Matches
matches = Symbol("M", positive=True)
score_gap = Symbol(r"s_\ast", positive=True)
score_deviation = Symbol("s", positive=True)
dilution_frames = Symbol(r"S_\ast", positive=True)
exponent = Symbol("p", positive=True)
second_eigenvalue = Symbol(r"\lambda_2", positive=True)
other_weight = Symbol("f", positive=True)
spread = Symbol(r"\delta", positive=True)
relative_variance = Symbol("u", positive=True)

# Measurement
spacing = Symbol(r"\Delta", positive=True)


class Entry(NamedTuple):
    """One row of the notation: a symbol, what it means and its unit or shape.

    Home section: *Notation*.
    """

    symbol: Symbol
    meaning: str
    unit: str = "1"


NOTATION: tuple[Entry, ...] = (
    Entry(step, "step of one layer"),
    Entry(layers, "layer index, counted in global layers", "layer"),
    Entry(time, r"depth time: $\tau L$; under pre-norm $1+\tau L$, the norm of the tokens"),
    Entry(frames, "number of frames", "frame"),
    Entry(per_frame, "tokens per frame: five special tokens and the patches", "token"),
    Entry(tokens, "tokens of a scene, $SP$", "token"),
    Entry(query, "a token as query", "$d$"),
    Entry(key, "a token as key", "$d$"),
    Entry(directions, "number of directions of the tokens"),
    Entry(mean, "mean of the tokens", "$d$"),
    Entry(variance, "variance along one direction, an eigenvalue of the covariance"),
    Entry(initial_variance, "variance at depth zero"),
    Entry(bilinear, "score coefficient along one direction, an eigenvalue of $B$"),
    Entry(contraction, "strength of values that point back to the mean, $V=-c$"),
    Entry(sharpness, r"sharpness $a=\lambda b$ along one direction"),
    Entry(decay, "decay ratio of the singular values along one direction"),
    Entry(cosine, "common cosine of equiangular tokens"),
    Entry(initial_cosine, "common cosine at depth zero"),
    Entry(norm, "norm of the tokens"),
    Entry(temperature, "factor of the scores between normalised tokens"),
    Entry(concentration, "score of two equal directions on the sphere"),
    Entry(order, r"order of the Bessel functions, $d/2-1$"),
    Entry(matches, "true matches of a query, a number that frames do not raise", "token"),
    Entry(score_gap, "score of a match above the rest"),
    Entry(score_deviation, "standard deviation of the scores of one query"),
    Entry(dilution_frames, "number of frames at which $p$ is one half", "frame"),
    Entry(exponent, r"collapse exponent $S/(S+S_\ast)$: the spread falls like $t^{-p}$"),
    Entry(second_eigenvalue, "second eigenvalue of attention, $1-p$"),
    Entry(other_weight, "factor on the softmax weight of tokens that are no match"),
    Entry(spread, "spread, the relative distance to a Dirac measure"),
    Entry(relative_variance, "variance relative to its start"),
    Entry(spacing, "distance between neighbouring numbers of a storage format"),
)
"""Every symbol above, in the order of the notation page."""
