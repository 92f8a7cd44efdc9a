"""Expressions of *From particles to the mean field*."""

import sympy
from sympy import Derivative, Function, Integral, Sum, exp, log, oo

from attention_collapse.theory.symbolic.identity import Identity
from attention_collapse.theory.symbols import key, query, time, tokens

dual = sympy.Symbol("xi", real=True)
r"""The query as the keys see it, along one direction: :math:`\xi = b x`."""

law = Function("rho")
"""Density of the tokens along one direction."""

partition = Integral(exp(dual * key) * law(key), (key, -oo, oo))
"""Denominator of the softmax average."""

tilted_mean = Integral(key * exp(dual * key) * law(key), (key, -oo, oo)) / partition
"""Softmax average of the tokens, the mean of the tilted law."""

tilted_variance = (
    Integral(key**2 * exp(dual * key) * law(key), (key, -oo, oo)) / partition - tilted_mean**2
)
"""Variance of the tilted law."""

test_function = Function("varphi")
velocity = Function("v")
token = Function("x")
index = sympy.Symbol("i", integer=True, positive=True)

test_average = Sum(test_function(token(index, time)), (index, 1, tokens)) / tokens
"""A test function averaged over the tokens."""

left_edge, right_edge = Function("e_-")(time), Function("e_+")(time)
cell_mass = Integral(law(time, query), (query, left_edge, right_edge))
"""Mass between two edges that move."""

share = sympy.Symbol("s", real=True)
_starts = sympy.symbols("y_1:4", real=True)
_moves = sympy.symbols(r"\Delta_1:4", real=True)
_places = [start + share * move for start, move in zip(_starts, _moves, strict=True)]


def _average(terms: list[sympy.Expr]) -> sympy.Expr:
    """Softmax average of one term for each of three tokens on their way."""
    weights = [exp(dual * place) for place in _places]
    return sum(w * term for w, term in zip(weights, terms, strict=True)) / sum(weights)


path_mean = _average(_places)
"""Softmax average of three tokens that move from ``y`` to ``y + Δ`` at equal pace."""

path_velocity = _average(
    [move + (place - path_mean) * dual * move for place, move in zip(_places, _moves, strict=True)]
)

_product = test_function(query) * law(query) * velocity(query)

IDENTITIES: tuple[Identity, ...] = (
    Identity("eq-log", tilted_mean, Derivative(log(partition), dual)),
    Identity("eq-tilted-variance", Derivative(tilted_mean, dual), tilted_variance),
    Identity(
        "eq-test",
        Derivative(test_average, time),
        Sum(Derivative(test_function(token(index, time)), time), (index, 1, tokens)) / tokens,
    ),
    Identity(
        "eq-parts",
        test_function(query) * Derivative(law(query) * velocity(query), query),
        Derivative(_product, query)
        - Derivative(test_function(query), query) * law(query) * velocity(query),
    ),
    Identity("eq-path", Derivative(path_mean, share), path_velocity),
    Identity(
        "eq-leibniz",
        Derivative(cell_mass, time),
        Integral(Derivative(law(time, query), time), (query, left_edge, right_edge))
        + law(time, right_edge) * Derivative(right_edge, time)
        - law(time, left_edge) * Derivative(left_edge, time),
    ),
)
"""The displayed equations of the chapter that are identities."""
