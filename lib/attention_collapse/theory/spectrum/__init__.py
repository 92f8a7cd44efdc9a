"""Singular values, ranks and entropy of attention, from the law of the tokens.

``gaussian`` holds Gaussian tokens (Mehler), ``spherical`` directions on a sphere (Funk and
Hecke), ``mixture`` any law that is cut into groups and ``key_mixture`` groups of keys that are
asked at every query; ``profile`` gathers the measures of rank, and
``saturation`` has the exponential in which they end. What the first five define can be imported
from here.
"""

from attention_collapse.theory.spectrum.gaussian import (
    SHARPNESS_LIMIT,
    decay_ratio,
    effective_rank,
    entropy_deficit,
    frobenius_squared,
    gaussian_sharpness,
    singular_values,
    stable_rank,
)
from attention_collapse.theory.spectrum.key_mixture import key_mixture_profile, key_mixture_shares
from attention_collapse.theory.spectrum.mixture import Mixture
from attention_collapse.theory.spectrum.profile import (
    RankProfile,
    rank_profile,
    spherical_rank_profile,
)
from attention_collapse.theory.spectrum.spherical import (
    harmonic_dimension,
    harmonic_values,
    spherical_effective_rank,
    spherical_entropy_deficit,
    spherical_singular_values,
    spherical_stable_rank,
)

__all__ = [
    "SHARPNESS_LIMIT",
    "Mixture",
    "RankProfile",
    "decay_ratio",
    "effective_rank",
    "entropy_deficit",
    "frobenius_squared",
    "gaussian_sharpness",
    "harmonic_dimension",
    "harmonic_values",
    "key_mixture_profile",
    "key_mixture_shares",
    "rank_profile",
    "singular_values",
    "spherical_effective_rank",
    "spherical_entropy_deficit",
    "spherical_rank_profile",
    "spherical_singular_values",
    "spherical_stable_rank",
    "stable_rank",
]
