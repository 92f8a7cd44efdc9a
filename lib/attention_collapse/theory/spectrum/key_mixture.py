"""Rank and entropy of attention to keys in groups, asked at every query."""

import numpy as np
from jaxtyping import Float, Int
from scipy.special import log_softmax


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
    return np.exp(_attention_to_groups(query, key, groups)[0])


def key_mixture_profile(
    query: Float[np.ndarray, "query dim"],
    key: Float[np.ndarray, "key dim"],
    groups: Int[np.ndarray, "_"],
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

    Args:
        query: :math:`q_i`.
        key: Keys.
        groups: Number of the group of each key; those that occur count.

    Raises:
        ValueError: If the groups are not one for each key.

    Source: derived in the home section, proposition *Attention to a mixture*.
    Home section: *The rank profile in closed form*.
    """
    shares, variance, log_weights = _attention_to_groups(query, key, groups)
    deficit = (np.exp(shares) * (shares - log_weights + variance / 2)).sum(axis=1).mean()
    energy = np.exp(2 * shares + variance - log_weights).sum(axis=1).mean()
    values = np.linalg.svd(np.exp(shares - log_weights / 2), compute_uv=False)
    return float(deficit), float(energy * len(query) / values[0] ** 2)


def _attention_to_groups(
    query: Float[np.ndarray, "query dim"],
    key: Float[np.ndarray, "key dim"],
    groups: Int[np.ndarray, "_"],
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
    shares = log_softmax(scaled @ means.T + variance / 2 + log_weights, axis=1)
    return shares, variance, log_weights
