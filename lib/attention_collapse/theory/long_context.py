"""How the number of tokens alone acts on attention, at one depth.

Two pictures. In the first the scores of a query are independent and Gaussian, and the entropy of
its row says when attention is sharp and when diffuse. In the second all tokens have one common
cosine, and the cosine after one layer says when that layer alone makes them equal.
"""

import math

import numpy as np
from jaxtyping import Float, Num

from attention_collapse.theory.validation import (
    require_at_least,
    require_between,
    require_exponent,
)

_COSINE_FIX = "tokens must lie on one side, and equal ones stay equal"


def crossover_tokens(score_variance: int | float) -> tuple[float, float]:
    r"""Numbers of tokens between which attention turns from sharp to diffuse.

    With fewer than :math:`e^{s^2/2}` tokens the scores that carry the mean weight are missing
    from the row. With many more than :math:`e^{s^2}` the row is diffuse, with the entropy that
    ``entropy`` gives.

    Args:
        score_variance: :math:`s^2`, variance over the keys of the scores of one query.

    Returns:
        The pair :math:`(e^{s^2/2}, e^{s^2})`.

    Raises:
        ValueError: If ``score_variance`` is negative, above 700 or not finite.

    Source: derived in the home section, proposition *Entropy crossover*.
    Home section: *Depth and frames: one law*.
    """
    require_at_least("score_variance", score_variance, 0, fix="a variance is not negative")
    require_exponent("score_variance", score_variance)
    return math.exp(score_variance / 2.0), math.exp(score_variance)


def entropy(tokens: int | float, score_variance: int | float) -> float:
    r"""Entropy of an attention row over many tokens with Gaussian scores, in nats.

    .. math:: H = \ln N - \tfrac12 s^2, \qquad N \ge e^{s^2}.

    It is the limit of many tokens, approached from above. For :math:`s^2 = 1, 4, 9` the mean
    entropy is higher by 0.27, 0.52 and 0.46 nats at :math:`N = e^{s^2}`, and by 0.04, 0.11 and
    0.11 nats at sixteen times as many tokens.

    Args:
        tokens: :math:`N`, number of keys.
        score_variance: :math:`s^2`, variance over the keys of the scores of one query.

    Raises:
        ValueError: If ``tokens`` is below :math:`e^{s^2}`, where the formula is not accurate, or
            ``score_variance`` is negative, above 700 or not finite.

    Source: derived in the home section, proposition *Entropy crossover*.
    Home section: *Depth and frames: one law*.
    """
    _, diffuse = crossover_tokens(score_variance)
    if not diffuse <= tokens < math.inf:
        raise ValueError(
            f"tokens must be finite and at least exp(score_variance) = {diffuse:.6g}; got "
            f"{tokens}: below that the row is not diffuse, so measure its entropy instead."
        )
    return math.log(tokens) - score_variance / 2.0


def logit_scale(tokens: int | float, trained_tokens: int | float) -> float:
    r"""Factor on the scores that keeps pace with the number of tokens.

    .. math:: \ln N / \ln N_{\text{train}}

    Args:
        tokens: :math:`N`, number of tokens of the input.
        trained_tokens: :math:`N_{\text{train}}`, number at which the scores were right.

    Raises:
        ValueError: If a number of tokens is below 2 or not finite.

    Source: scalable softmax (Nakanishi, arXiv 2501.19399) multiplies scores by a learned number
    times :math:`\ln N`; here that number is :math:`1 / \ln N_{\text{train}}`.
    Home section: *Depth and frames: one law*.
    """
    require_at_least("tokens", tokens, 2, fix="one token attends to itself at any scale")
    require_at_least("trained_tokens", trained_tokens, 2, fix="ln 1 is zero")
    return math.log(tokens) / math.log(trained_tokens)


def equiangular_eigenvalue(
    cosine: int | float,
    tokens: int | float | Num[np.ndarray, "*point"],
    temperature: int | float | Num[np.ndarray, "*point"],
) -> float | Float[np.ndarray, "*point"]:
    r"""Second eigenvalue of attention between unit tokens of one common cosine.

    .. math:: \lambda_2 = \frac{e^{g} - 1}{e^{g} + N - 1}, \qquad g = \beta (1 - \omega)

    This is dilution with one match, the token itself, that outscores the others by :math:`g`.

    Args:
        cosine: :math:`\omega`, in (0, 1).
        tokens: :math:`N`, at least 2.
        temperature: :math:`\beta \ge 0`, factor of the scores.

    Raises:
        ValueError: If an argument is out of its range or not finite.

    Source: derived in the home section, proposition *One layer, many tokens*.
    Home section: *Depth and frames: one law*.
    """
    require_between("cosine", cosine, 0, 1, ends=False, fix=_COSINE_FIX)
    require_at_least("tokens", tokens, 2, fix="a cosine needs two tokens")
    require_at_least("temperature", temperature, 0, fix="like tokens must attract")
    gap = np.multiply(temperature, 1.0 - cosine)
    held = -np.expm1(-gap)
    return held / (held + tokens * np.exp(-gap))


def output_cosine(
    cosine: int | float,
    tokens: int | float | Num[np.ndarray, "*point"],
    temperature: int | float | Num[np.ndarray, "*point"],
) -> float | Float[np.ndarray, "*point"]:
    r"""Common cosine of equiangular tokens after one attention layer, exact for every number.

    .. math:: \omega' = \frac{1 + (N-1)\omega - \lambda_2^2 (1-\omega)}
        {1 + (N-1)\omega + (N-1) \lambda_2^2 (1-\omega)}

    The layer is :math:`x \leftarrow A x`: :math:`V = I` and no residual.

    Args:
        cosine: :math:`\omega`, in (0, 1).
        tokens: :math:`N`, at least 2.
        temperature: :math:`\beta \ge 0`, factor of the scores.

    Raises:
        ValueError: If an argument is out of its range or not finite.

    Source: derived in the home section, proposition *One layer, many tokens*.
    Home section: *Depth and frames: one law*.
    """
    eigenvalue = equiangular_eigenvalue(cosine, tokens, temperature)
    kept = eigenvalue**2 * (1.0 - cosine) / (cosine + (1.0 - cosine) / tokens)
    return (1.0 - kept / tokens) / (1.0 + kept * (1.0 - 1.0 / np.asarray(tokens)))


def limiting_cosine(cosine: int | float, growth: int | float) -> float:
    r"""Limit of ``output_cosine`` for many tokens when scores grow like their logarithm.

    .. math:: \lim_{N\to\infty} \omega'\big|_{\beta = \gamma \ln N} = \begin{cases}
        1 & \gamma (1-\omega) < 1 \\ 4\omega/(1+3\omega) & \gamma (1-\omega) = 1 \\
        \omega & \gamma (1-\omega) > 1 \end{cases}

    Args:
        cosine: :math:`\omega`, in (0, 1).
        growth: :math:`\gamma \ge 0`; zero stands for scores that do not grow.

    Raises:
        ValueError: If an argument is out of its range or not finite.

    Source: Chen, Lin, Polyanskiy and Rigollet (arXiv 2510.05554); derived in the home section,
    proposition *One layer, many tokens*.
    Home section: *Depth and frames: one law*.
    """
    require_between("cosine", cosine, 0, 1, ends=False, fix=_COSINE_FIX)
    require_at_least("growth", growth, 0, fix="like tokens must attract")
    gap = growth * (1.0 - cosine)
    if math.isclose(gap, 1.0, rel_tol=1e-12):
        return 4.0 * cosine / (1.0 + 3.0 * cosine)
    return 1.0 if gap < 1.0 else float(cosine)
