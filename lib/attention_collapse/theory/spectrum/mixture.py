"""Rank and entropy of attention to any law of tokens that is cut into groups.

Keys have the law :math:`\\sum_g n_g \\, \\mathcal N(m_g, \\Sigma_g)`. For a query :math:`x` group
:math:`g` holds the share :math:`A_g` of attention,

.. math:: A_g \\propto n_g \\exp \\bigl( x^\\top B m_g
    + \\tfrac12 x^\\top B \\Sigma_g B^\\top x \\bigr).

This is exact. A matrix of groups comes from asking at one query for each group, its mean. Without
the term in :math:`\\Sigma_g` it is the quadrature that token merging computes, and without
:math:`\\ln n_g` the one that ignores the sizes of the groups.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import entr, log_softmax, logsumexp

from attention_collapse.theory.spectrum.saturation import saturating_exponential
from attention_collapse.theory.validation import (
    require_covariances,
    require_square_matrices,
    require_tokens,
    require_vectors,
)


@dataclass(frozen=True)
class Mixture:
    r"""Tokens in groups, and the scores between them.

    Attributes:
        weights: Shares :math:`n_g` of the tokens, positive, with sum one.
        means: :math:`m_g`.
        covariances: :math:`\Sigma_g`; zero for groups of identical tokens.
        bilinear: :math:`B` of the scores :math:`x^\top B y`.

    Raises:
        ValueError: If the arrays do not have one entry for each group, a number is not finite,
            the weights are no shares or a covariance is not symmetric with variances of at least
            zero.

    Source: derived in the home section, proposition *Attention to a mixture*.
    Home section: *The rank profile in closed form*.
    """

    weights: Float[np.ndarray, "group"]
    means: Float[np.ndarray, "..."]
    covariances: Float[np.ndarray, "..."]
    bilinear: Float[np.ndarray, "..."]

    def __post_init__(self) -> None:
        groups, width = self.weights.size, self.bilinear.shape[-1]
        shapes = self.means.shape, self.covariances.shape
        if groups == 0 or shapes != ((groups, width), (groups, width, width)):
            raise ValueError(
                "means and covariances must have one entry for each weight, "
                f"{groups} here, in the {width} coordinates of bilinear; got shapes {shapes[0]} "
                f"and {shapes[1]}: pass [group width] and [group width width]."
            )
        require_vectors(width, means=self.means)
        require_square_matrices(width, bilinear=self.bilinear)
        require_covariances(width, covariances=self.covariances)
        shares = np.isfinite(self.weights).all() and self.weights.min() > 0
        if not (shares and np.isclose(self.weights.sum(), 1.0, rtol=0.0, atol=1e-9)):
            raise ValueError(
                f"weights must be positive with sum one; got {self.weights}: drop empty groups "
                "and divide the sizes by the number of tokens."
            )

    @classmethod
    def from_tokens(
        cls,
        tokens: Float[np.ndarray, "token width"],
        groups: Int[np.ndarray, "_"],
        *,
        bilinear: Float[np.ndarray, "_ _"],
    ) -> "Mixture":
        r"""Mixture with the sizes, means and covariances of groups of tokens.

        Args:
            tokens: :math:`x_i`.
            groups: Number of the group of each token; those that occur count.
            bilinear: :math:`B`.

        Raises:
            ValueError: If there is no token, one is not finite, the groups are not one for each
                token, or ``bilinear`` does not act on the tokens.

        Source: derived in the home section, proposition *Attention to a mixture*.
        """
        require_tokens("tokens", tokens)
        require_square_matrices(tokens.shape[1], bilinear=bilinear)
        if len(groups) != len(tokens):
            raise ValueError(
                f"groups must name one group for every token; got {len(groups)} for {len(tokens)} "
                "tokens: pass two arrays of one length."
            )
        labels, sizes = np.unique(groups, return_counts=True)
        members = [tokens[groups == label] for label in labels]
        return cls(
            weights=sizes / len(tokens),
            means=np.stack([cloud.mean(axis=0) for cloud in members]),
            covariances=np.stack([_covariance(cloud) for cloud in members]),
            bilinear=bilinear,
        )

    def attention(self) -> Float[np.ndarray, "group group"]:
        r"""Share of attention that the mean of each group pays to each group."""
        return np.exp(self._log_shares)

    def singular_values(self) -> Float[np.ndarray, "value"]:
        r"""Singular values of attention between groups, one for each, descending.

        .. math:: \sigma_n \bigl( \sqrt{n_g} \, A_{gh} / \sqrt{n_h} \bigr)
        """
        root = np.sqrt(self.weights)
        return np.linalg.svd(root[:, None] * self.attention() / root, compute_uv=False)

    def frobenius_squared(self) -> float:
        r"""Squared Frobenius norm, with what the keys inside a group add.

        .. math:: \|A\|_F^2 = \sum_{gh} \frac{n_g}{n_h} A_{gh}^2 \,
            e^{m_g^\top B \Sigma_h B^\top m_g}

        Infinite beyond float64.
        """
        return saturating_exponential(self._log_frobenius_squared)

    def stable_rank(self) -> float:
        r"""Stable rank :math:`\|A\|_F^2 / \sigma_1^2`, with what the keys inside a group add.

        Infinite beyond float64.
        """
        largest = math.log(self.singular_values()[0])
        return saturating_exponential(self._log_frobenius_squared - 2.0 * largest)

    def effective_rank(self) -> float:
        """Roy–Vetterli effective rank of attention between groups, at most their number."""
        values = self.singular_values()
        return float(np.exp(entr(values / values.sum()).sum()))

    def entropy_deficit(self) -> float:
        r"""Mean entropy that attention rows miss against uniform rows, in nats.

        .. math:: \sum_{gh} n_g A_{gh} \Bigl( \ln \frac{A_{gh}}{n_h}
            + \tfrac12 m_g^\top B \Sigma_h B^\top m_g \Bigr)
        """
        log_ratios = self._log_shares - np.log(self.weights)
        divergences = self.attention() * (log_ratios + 0.5 * self._score_variances)
        return float(self.weights @ divergences.sum(axis=1))

    @property
    def _log_shares(self) -> Float[np.ndarray, "group group"]:
        """Logarithms of the shares, finite where the shares underflow."""
        scores = self._tilts @ self.means.T + 0.5 * self._score_variances
        return log_softmax(scores + np.log(self.weights), axis=-1)

    @property
    def _log_frobenius_squared(self) -> float:
        log_weights = np.log(self.weights)
        energies = 2.0 * self._log_shares + self._score_variances - log_weights
        return float(logsumexp(energies + log_weights[:, None]))

    @property
    def _tilts(self) -> Float[np.ndarray, "group width"]:
        """What the scores of the mean of each group multiply keys by, a row for each."""
        return self.means @ self.bilinear

    @property
    def _score_variances(self) -> Float[np.ndarray, "group group"]:
        """Variance of the scores of a group's mean over the keys of each group."""
        tilts = self._tilts
        return np.einsum("gi,hij,gj->gh", tilts, self.covariances, tilts, optimize=True)


def _covariance(cloud: Float[np.ndarray, "token width"]) -> Float[np.ndarray, "width width"]:
    centred = cloud - cloud.mean(axis=0)
    return centred.T @ centred / len(cloud)
