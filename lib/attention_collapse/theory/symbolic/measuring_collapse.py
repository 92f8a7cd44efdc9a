"""The equations of *Measuring collapse* as sympy expressions.

Sums over rows, columns and tiles are written out for two queries and three keys, whose scores are
free symbols: no identity uses more of their number than that it is a sum.
"""

import sympy
from sympy import Derivative, ImmutableMatrix, exp, factorial, log, sqrt

from attention_collapse.theory.symbolic.identity import Identity
from attention_collapse.theory.symbols import spacing

QUERIES, KEYS = 2, 3
STEPS = (1, 2, 3, 4)
"""Steps of the quadrature whose remainders are checked."""

# Rows

scores = ImmutableMatrix(
    QUERIES, KEYS, lambda row, column: sympy.Symbol(f"s_{row + 1}{column + 1}", real=True)
)
first_row = scores[0, :]


def log_sum_exp(values: sympy.MatrixBase) -> sympy.Expr:
    """Logarithm of the sum of the exponentials of some scores.

    Home section: *Measuring collapse*.
    """
    return log(sympy.Add(*map(exp, values)))


weights = ImmutableMatrix(
    QUERIES, KEYS, lambda row, column: exp(scores[row, column]) / exp(log_sum_exp(scores[row, :]))
)
"""Attention, each row divided by its sum."""

first_weights = weights[0, :]
row_entropy = -sympy.Add(*(weight * log(weight) for weight in first_weights))
row_energy = sympy.Add(*(weight**2 for weight in first_weights))

# Tiles

peak = sympy.Symbol("m", real=True)
tile_peaks = sympy.symbols("m_1 m_2", real=True)
_tiles = (first_row[:2], first_row[2:])


def _tile_sums(tile: list[sympy.Symbol], reference: sympy.Symbol) -> tuple[sympy.Expr, ...]:
    below = [score - reference for score in tile]
    total = sympy.Add(*(exp(value) for value in below))
    return total, sympy.Add(*(exp(value) * value for value in below))


_parts = [(top, *_tile_sums(tile, top)) for tile, top in zip(_tiles, tile_peaks, strict=True)]
merged_total = sympy.Add(*(exp(top - peak) * total for top, total, _ in _parts))
merged_weighted = sympy.Add(
    *(exp(top - peak) * (weighted + (top - peak) * total) for top, total, weighted in _parts)
)
merged_entropy = log(merged_total) - merged_weighted / merged_total
"""Entropy of the first row from the sums of its two tiles."""

# Distance from rank one

entries = ImmutableMatrix(
    QUERIES, KEYS, lambda row, column: sympy.Symbol(f"A_{row + 1}{column + 1}", real=True)
)
any_row = ImmutableMatrix(1, KEYS, sympy.symbols(f"rho_1:{KEYS + 1}", real=True))


def energy(matrix: sympy.MatrixBase) -> sympy.Expr:
    """Sum of the squares of the entries.

    Home section: *Measuring collapse*.
    """
    return sympy.Add(*(entry**2 for entry in matrix))


def mean_row(matrix: sympy.MatrixBase) -> ImmutableMatrix:
    """Mean of the rows of a matrix.

    Home section: *Measuring collapse*.
    """
    return ImmutableMatrix(ImmutableMatrix.ones(1, matrix.rows) * matrix / matrix.rows)


def from_rows(matrix: sympy.MatrixBase, row: sympy.MatrixBase) -> sympy.Expr:
    """Squared distance of a matrix from the one that repeats a row.

    Home section: *Measuring collapse*.
    """
    return energy(matrix - ImmutableMatrix.ones(matrix.rows, 1) * row)


sink_share = sympy.Symbol("alpha", positive=True)
rest = ImmutableMatrix(
    QUERIES, 2, lambda row, column: sympy.Symbol(f"C_{row + 1}{column + 1}", real=True)
)
"""Attention on the keys beside a sink, each row divided by its sum."""

with_sink = (sink_share * ImmutableMatrix.ones(QUERIES, 1)).row_join((1 - sink_share) * rest)


# Ranks

gram = ImmutableMatrix(2, 2, sympy.symbols("g_11 g_12 g_12 g_22", real=True))
_half_trace, _root = gram.trace() / 2, sqrt((gram[0, 0] - gram[1, 1]) ** 2 / 4 + gram[0, 1] ** 2)
gram_eigenvalues = (_half_trace + _root, _half_trace - _root)
squares = sympy.symbols("xi_1:4", positive=True)
whole = sympy.Add(*squares)
shares = [square / whole for square in squares]

# Traces from random columns

column = ImmutableMatrix(sympy.symbols("z_1 z_2", real=True))
_law = sympy.prod(exp(-(entry**2) / 2) / sqrt(2 * sympy.pi) for entry in column)
_everywhere = [(entry, -sympy.oo, sympy.oo) for entry in column]
mean_form = sympy.Integral((column.T * gram * column)[0] * _law, *_everywhere)

# Remainders of the quadrature

node = sympy.Symbol("xi", positive=True)


even_derivatives = ImmutableMatrix(
    [
        [Derivative(function, (node, 2 * steps)) for function in (node * log(node), log(node))]
        for steps in STEPS
    ]
)
signed_powers = ImmutableMatrix(
    [
        [
            factorial(2 * steps - 2) / node ** (2 * steps - 1),
            -factorial(2 * steps - 1) / node ** (2 * steps),
        ]
        for steps in STEPS
    ]
)

# Samples of rows

rows = ImmutableMatrix(
    3, 2, lambda row, column: sympy.Symbol(f"A_{row + 1}{column + 1}", real=True)
)
_samples = [rows[list(chosen), :] for chosen in ((0, 1), (0, 2), (1, 2))]
mean_sampled_gram = sympy.MatMul(
    sympy.Rational(1, len(_samples)),
    sympy.MatAdd(*(sympy.MatMul(sympy.Rational(3, 2), s.T, s) for s in _samples)),
)
"""Mean over all samples of two rows of three of the scaled Gram matrix of a sample."""

# Rounding

steps_apart = sympy.Symbol("k", integer=True, nonnegative=True)
fraction = sympy.Symbol("phi", nonnegative=True)
rounded_square = spacing**2 * ((1 - fraction) * steps_apart**2 + fraction * (steps_apart + 1) ** 2)
"""Mean square of the difference of two rounded numbers over all places of the grid."""

IDENTITIES: tuple[Identity, ...] = (
    Identity(
        "eq-entropy-pass",
        row_entropy,
        log_sum_exp(first_row)
        - sympy.Add(*(w * s for w, s in zip(first_weights, first_row, strict=True))),
    ),
    Identity(
        "eq-energy-pass", row_energy, exp(log_sum_exp(2 * first_row) - 2 * log_sum_exp(first_row))
    ),
    Identity("eq-tiles", row_entropy, merged_entropy),
    Identity(
        "eq-pythagoras",
        from_rows(entries, any_row),
        energy(entries)
        - QUERIES * energy(mean_row(entries))
        + QUERIES * energy(any_row - mean_row(entries)),
    ),
    Identity(
        "eq-sink",
        from_rows(with_sink, mean_row(with_sink)) / energy(with_sink),
        (1 - sink_share) ** 2
        * from_rows(rest, mean_row(rest))
        / (QUERIES * sink_share**2 + (1 - sink_share) ** 2 * energy(rest)),
    ),
    Identity(
        "eq-participation",
        sympy.Add(*gram_eigenvalues) ** 2 / sympy.Add(*(value**2 for value in gram_eigenvalues)),
        gram.trace() ** 2 / energy(gram),
    ),
    Identity(
        "eq-energy-rank",
        -sympy.Add(*(share * log(share) for share in shares)),
        log(whole) - sympy.Add(*(square * log(square) for square in squares)) / whole,
    ),
    Identity("eq-random-trace", mean_form, gram.trace()),
    Identity("eq-remainders", even_derivatives, signed_powers),
    Identity("eq-sampled-gram", mean_sampled_gram, rows.T * rows),
    Identity(
        "eq-rounded-square",
        rounded_square,
        spacing**2 * ((steps_apart + fraction) ** 2 + fraction * (1 - fraction)),
    ),
)
