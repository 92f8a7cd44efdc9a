"""Rank and entropy of attention to keys in groups, asked at every query."""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.special import log_softmax

Law = Literal["gaussian", "halves"]
"""Law of the scores of one query inside a group: Gaussian, or two equal halves of equal scores."""


def key_mixture_shares(
    query: Float[np.ndarray, "query dim"],
    key: Float[np.ndarray, "key dim"],
    groups: Int[np.ndarray, "_"],
) -> Float[np.ndarray, "query group"]:
    r"""Shares :math:`A_{ig}` of attention that a mixture of keys takes from every query.

    They are those of ``key_mixture_profile``; groups in the order of their numbers.

    Args:
        query: :math:`q_i`.
        key: Keys.
        groups: Number of the group of each key; those that occur count.

    Raises:
        ValueError: If the groups are not one for each key.

    Source: derived in the home section, proposition *Attention to a mixture*.
    Home section: *The rank profile in closed form*.
    """
    return np.exp(_attention_to_groups(query, key, groups, "gaussian")[0])


def key_mixture_profile(
    query: Float[np.ndarray, "query dim"],
    key: Float[np.ndarray, "key dim"],
    groups: Int[np.ndarray, "_"],
    *,
    law: Law = "gaussian",
) -> tuple[float, float]:
    r"""Entropy deficit in nats, and stable rank, of attention to a mixture of keys.

    Query :math:`q_i` gives group :math:`g` of share :math:`n_g`, mean :math:`m_g` and covariance
    :math:`\Sigma_g` the share

    .. math:: A_{ig} \propto n_g \exp \bigl( q_i^\top m_g / \sqrt d + \tfrac12 s_{ig}^2 \bigr),
        \qquad s_{ig}^2 = q_i^\top \Sigma_g q_i / d.

    The deficit is the mean over :math:`i` of
    :math:`\sum_g A_{ig} (\ln (A_{ig} / n_g) + \tfrac12 s_{ig}^2)`, the squared Frobenius norm that
    of :math:`\sum_g A_{ig}^2 e^{s_{ig}^2} / n_g`, and the largest singular value that of
    :math:`A_{ig} / \sqrt{n_g}` over all queries of equal weight.

    These are Gaussian groups. A group of few keys has no tail, and
    :math:`e^{s_{ig}^2}` is then far too large. In two halves of scores one deviation above and
    below the mean, which have the same mean and variance, what stands for
    :math:`\tfrac12 s^2`, :math:`\tfrac12 s^2` and :math:`s^2` is :math:`\ln \cosh s`,
    :math:`s \tanh s - \ln \cosh s` and :math:`\ln (1 + \tanh^2 s)`: the same up to :math:`s^3`,
    and bounded where a group is. For groups of two keys they are exact.

    Args:
        query: :math:`q_i`.
        key: Keys.
        groups: Number of the group of each key; those that occur count.
        law: Of the scores of a query inside a group.

    Raises:
        ValueError: If the groups are not one for each key.

    Source: derived in the home section, proposition *Attention to a mixture*.
    Home section: *The rank profile in closed form*.
    """
    shares, variance, log_weights = _attention_to_groups(query, key, groups, law)
    _, within, energies = _inside(variance, law)
    deficit = (np.exp(shares) * (shares - log_weights + within)).sum(axis=1).mean()
    energy = np.exp(2 * shares + energies - log_weights).sum(axis=1).mean()
    values = np.linalg.svd(np.exp(shares - log_weights / 2), compute_uv=False)
    return float(deficit), float(energy * len(query) / values[0] ** 2)


def _attention_to_groups(
    query: Float[np.ndarray, "query dim"],
    key: Float[np.ndarray, "key dim"],
    groups: Int[np.ndarray, "_"],
    law: Law,
) -> tuple[
    Float[np.ndarray, "query group"],
    Float[np.ndarray, "query group"],
    Float[np.ndarray, "group"],
]:
    """Logarithms of the shares of attention, variances of scores, logarithms of shares of keys."""
    if len(groups) != len(key):
        raise ValueError(
            f"groups must name one group for every key, got {len(groups)} for {len(key)} keys: "
            "pass two arrays of one length"
        )
    labels, sizes = np.unique(groups, return_counts=True)
    members = [key[groups == label] for label in labels]
    means = np.stack([cloud.mean(axis=0) for cloud in members])
    centred = [cloud - mean for cloud, mean in zip(members, means, strict=True)]
    scaled = query / np.sqrt(query.shape[1])
    variance = np.stack([((scaled @ cloud.T) ** 2).mean(axis=1) for cloud in centred], axis=1)
    log_weights = np.log(sizes / len(key))
    normaliser, _, _ = _inside(variance, law)
    shares = log_softmax(scaled @ means.T + normaliser + log_weights, axis=1)
    return shares, variance, log_weights


def _inside(
    variance: Float[np.ndarray, "query group"], law: Law
) -> tuple[
    Float[np.ndarray, "query group"],
    Float[np.ndarray, "query group"],
    Float[np.ndarray, "query group"],
]:
    """Of weights inside a group: log of their mean, entropy deficit, log of their energy."""
    if law == "gaussian":
        return variance / 2, variance / 2, variance
    deviation = np.sqrt(variance)
    normaliser = np.logaddexp(deviation, -deviation) - np.log(2)
    slope = np.tanh(deviation)
    return normaliser, deviation * slope - normaliser, np.log1p(slope**2)
