"""The equations of *Depth and frames: one law* as sympy expressions."""

import sympy
from sympy import Derivative, exp, gamma, log, sqrt

from attention_collapse.theory.symbolic.identity import Identity
from attention_collapse.theory.symbols import (
    bilinear,
    contraction,
    cosine,
    exponent,
    frames,
    layers,
    matches,
    other_weight,
    per_frame,
    score_deviation,
    score_gap,
    second_eigenvalue,
    sharpness,
    step,
    temperature,
    time,
    tokens,
)

# Dilution

match_eigenvalue = (
    matches
    * (exp(score_gap) - other_weight)
    / (matches * exp(score_gap) + other_weight * (tokens - matches))
)
"""Second eigenvalue of attention among ``tokens`` that fall into groups of matches."""

diluted = matches / per_frame * (exp(score_gap) / other_weight - 1)
r"""Dilution frames :math:`S_\ast` with a weight on the tokens that are no match."""

# Collapse exponent

layer = sympy.Symbol("l", integer=True, nonnegative=True)
layer_norm = 1 + step * layer
layer_factor = (layer_norm + step * second_eigenvalue) / (layer_norm + step)
"""Factor of one pre-norm layer on the relative deviation along an eigenvector."""

relative_deviation = (
    gamma(layers + 1 / step + second_eigenvalue)
    * gamma(1 / step + 1)
    / (gamma(layers + 1 / step + 1) * gamma(1 / step + second_eigenvalue))
)
"""Product of the factors of all layers."""

remaining = time ** (-2 * exponent)
flow_variance = remaining / (1 - sharpness + sharpness * remaining)
"""Relative variance of the landmark flow."""

# Entropy crossover

normal = sympy.Symbol("Z", real=True)


def score_mean(function: sympy.Expr) -> sympy.Integral:
    """Mean over a standard normal ``Z`` of a function of it, as an integral not carried out.

    Home section: *Depth and frames: one law*.
    """
    density = exp(-(normal**2) / 2) / sqrt(2 * sympy.pi)
    return sympy.Integral(function * density, (normal, -sympy.oo, sympy.oo))


score = score_deviation * normal
mean_weight = score_mean(exp(score))
mean_square_weight = score_mean(exp(2 * score))
mean_tilted_score = score_mean(score * exp(score)) / mean_weight

# One layer, many tokens

equiangular_eigenvalue = (exp(temperature * (1 - cosine)) - 1) / (
    exp(temperature * (1 - cosine)) + tokens - 1
)
output_product = (1 + (tokens - 1) * cosine - second_eigenvalue**2 * (1 - cosine)) / tokens
output_square = output_product + second_eigenvalue**2 * (1 - cosine)
output_cosine = output_product / output_square
"""Common cosine after one layer, in terms of the second eigenvalue of attention."""


def equiangular_matrix(
    count: int, diagonal: sympy.Expr, other: sympy.Expr
) -> sympy.ImmutableMatrix:
    """Matrix with one value on the diagonal and another off it.

    Home section: *Depth and frames: one law*.
    """
    return sympy.ImmutableMatrix(
        count, count, lambda row, column: diagonal if row == column else other
    )


def layer_on_gram(count: int) -> Identity:
    """Gram matrix of ``count`` equiangular tokens after a layer, beside the stated one.

    Home section: *Depth and frames: one law*.
    """
    rest = (1 - second_eigenvalue) / count
    attention = equiangular_matrix(count, rest + second_eigenvalue, rest)
    gram = equiangular_matrix(count, sympy.Integer(1), cosine)
    stated = equiangular_matrix(count, output_square, output_product).subs(tokens, count)
    return Identity("eq-gram", sympy.MatMul(attention, gram, attention.T), stated)


# Merging

between = sympy.Symbol(r"\lambda_\mathrm{b}", positive=True)
within = sympy.Symbol(r"\lambda_\mathrm{w}", positive=True)
_rate = 2 * contraction * bilinear


def contracted(variance: sympy.Expr) -> sympy.Expr:
    """Variance at depth time ``t`` of a cloud that contracts from ``variance``.

    Home section: *Depth and frames: one law*.
    """
    return variance / (1 + _rate * variance * time)


merged_variance = within + contracted(between)

size = sympy.Symbol("n", integer=True, positive=True)
_score, _value = sympy.symbols("s_h y_h", real=True)

# Cost

width = sympy.Symbol("C", integer=True, positive=True)
block_flops = sympy.Add(
    6 * tokens * width**2,
    4 * tokens**2 * width,
    2 * tokens * width**2,
    16 * tokens * width**2,
    evaluate=False,
)
"""Operations of a block: to query, key and value; scores and averages; joining heads; MLP."""

IDENTITIES: tuple[Identity, ...] = (
    Identity(
        "eq-second-eigenvalue",
        match_eigenvalue.subs(tokens, frames * per_frame),
        diluted / (frames + diluted),
    ),
    Identity(
        "eq-bias",
        diluted,
        matches / per_frame * (exp(score_gap + log(1 / other_weight), evaluate=False) - 1),
    ),
    Identity(
        "eq-deviation-product",
        sympy.Product(layer_factor, (layer, 0, layers - 1)),
        relative_deviation,
    ),
    Identity(
        "eq-one-curve",
        flow_variance,
        1 / (sharpness + (1 - sharpness) * exp(2 * exponent * log(time))),
    ),
    Identity("eq-entropy-limit", mean_tilted_score - log(mean_weight), score_deviation**2 / 2),
    Identity(
        "eq-partition-variance",
        mean_square_weight / (tokens * mean_weight**2) - 1 / tokens,
        (exp(score_deviation**2) - 1) / tokens,
    ),
    layer_on_gram(3),
    Identity(
        "eq-output-cosine",
        output_product / output_square,
        (1 + (tokens - 1) * cosine - second_eigenvalue**2 * (1 - cosine))
        / (1 + (tokens - 1) * cosine + (tokens - 1) * second_eigenvalue**2 * (1 - cosine)),
    ),
    Identity(
        "eq-long-context-limit",
        sympy.Limit(
            output_cosine.subs(second_eigenvalue, (tokens - 1) / (2 * tokens - 1)),
            tokens,
            sympy.oo,
        ),
        4 * cosine / (1 + 3 * cosine),
    ),
    Identity(
        "eq-merged-variance",
        Derivative(merged_variance, time),
        -_rate * contracted(between) ** 2,
    ),
    Identity(
        "eq-effective-coefficient",
        sympy.Subs(
            Derivative(merged_variance, time) / Derivative(contracted(between + within), time),
            time,
            0,
        ),
        between**2 / (between + within) ** 2,
    ),
    Identity(
        "eq-proportional",
        size * exp(_score) * _value,
        sympy.Mul(exp(_score + log(size), evaluate=False), _value, evaluate=False),
    ),
    Identity("eq-block-flops", block_flops, 24 * tokens * width**2 + 4 * tokens**2 * width),
)
