"""Closed forms of the profile of one head, from the law of its queries and keys."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.cluster.vq import kmeans2
from torch import Tensor

from attention_collapse.measure.attention_summary import Summary
from attention_collapse.theory import spectrum
from attention_collapse.theory.spectrum.key_mixture import Law
from attention_collapse.theory.square_root import symmetric_square_root
from attention_collapse.tokens import TokenLayout

Prediction = tuple[float, float]
"""Entropy deficit in nats and stable rank; not numbers where a form refuses."""

MIXTURES: dict[str, Law] = {"mixture_gaussian": "gaussian", "mixture": "halves"}
"""The mixtures of groups of keys, and the law of scores inside their groups."""


def gaussian_prediction(
    sharpness: Float[np.ndarray, "direction"], score_variance: float
) -> Prediction:
    """The Gaussian form, which refuses sharpness outside its range.

    Home section: *Predicting the profile*.
    """
    if sharpness.max() >= spectrum.SHARPNESS_LIMIT:
        return np.nan, np.nan
    return score_variance / 2, spectrum.stable_rank(sharpness)


def spherical_prediction(sharpness: Float[np.ndarray, "direction"]) -> Prediction:
    r"""The form for directions on a sphere.

    Its dimension is the number of directions that share the score variance,
    :math:`d = (\sum_k a_k^2)^2 / \sum_k a_k^4`, rounded and at least 2; its concentration
    :math:`\kappa = \sqrt{d \sum_k a_k^2}` gives the scores of centred queries their variance.

    Home section: *Predicting the profile*.
    """
    squares = sharpness**2
    dimension = max(2, round(float(squares.sum() ** 2 / (squares**2).sum())))
    concentration = float(np.sqrt(dimension * squares.sum()))
    return (
        spectrum.spherical_entropy_deficit(concentration, dimension),
        spectrum.spherical_stable_rank(concentration, dimension),
    )


def mixture_prediction(
    query: Float[np.ndarray, "token dim"],
    key: Float[np.ndarray, "token dim"],
    *,
    groups: int,
    law: Law = "halves",
    seed: int = 0,
) -> Prediction:
    """The mixture of groups of keys: a coarse-graining of this very head, not a forecast.

    Args:
        query: Queries after norm and rotation.
        key: Keys.
        groups: Most groups there are.
        law: Of scores inside a group, as in ``key_mixture_profile``.
        seed: Of the first centres.

    Home section: *Predicting the profile*.
    """
    labels = score_groups(query, key, groups=groups, seed=seed)
    return spectrum.key_mixture_profile(query, key, labels, law=law)


def mixture_weights(
    query: Float[np.ndarray, "token dim"],
    key: Float[np.ndarray, "token dim"],
    rows: Sequence[int],
    *,
    groups: int,
    seed: int = 0,
) -> Float[np.ndarray, "query token"]:
    """Rows of attention that the mixture of groups of keys gives, even inside every group.

    Args:
        query: Queries after norm and rotation, of which all decide on the groups.
        key: Keys.
        rows: Which queries are asked.
        groups: Most groups there are.
        seed: Of the first centres.

    Home section: *Predicting the profile*.
    """
    labels = score_groups(query, key, groups=groups, seed=seed)
    shares = spectrum.key_mixture_shares(query[list(rows)], key, labels)
    _, places, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return (shares / sizes)[:, places]


def score_groups(
    query: Float[np.ndarray, "token dim"],
    key: Float[np.ndarray, "token dim"],
    *,
    groups: int,
    seed: int = 0,
) -> Int[np.ndarray, "token"]:
    """Groups of keys by k-means, their distance measured by the scores that they differ in.

    Args:
        query: Queries after norm and rotation.
        key: Keys.
        groups: Most groups there are.
        seed: Of the first centres.

    Raises:
        ValueError: If there are more groups than tokens, or none.

    Home section: *Predicting the profile*.
    """
    if not 1 <= groups <= len(query):
        raise ValueError(
            f"groups must be from 1 to the {len(query)} tokens, got {groups}: ask for fewer"
        )
    # Distances in the second moment of the queries are root mean square differences of scores.
    cloud = key @ symmetric_square_root(query.T @ query / len(query))
    generator = np.random.default_rng(seed)
    centres = cloud[generator.choice(len(cloud), size=groups, replace=False)]
    with warnings.catch_warnings():
        # Equal keys leave groups empty, which then do not count.
        warnings.filterwarnings("ignore", "One of the clusters is empty")
        return kmeans2(cloud, centres, minit="matrix", iter=20)[1].astype(np.int64)


def measure_closures(
    query: Float[Tensor, "head token dim"],
    key: Float[Tensor, "head token dim"],
    *,
    layout: TokenLayout,
    groups: int | None,
    parts: bool,
) -> Summary:
    """What the closures need of a layer's queries and keys beside its usual statistics.

    ``mixture`` and ``mixture_gaussian``, the predictions for each head by the law inside a group,
    not numbers without groups; and of the rows, if asked for, ``row_mass`` on the reference frame,
    ``row_reference_deficit`` within it and ``row_other_deficit`` within the others.

    Args:
        query: Queries after norm and rotation.
        key: Keys.
        layout: Where the tokens sit.
        groups: Groups of the mixtures.
        parts: Whether to take the rows apart, for which they are written down.

    Home section: *Predicting the profile*.
    """
    summary = {}
    for name, law in MIXTURES.items():
        found = np.full((len(query), 2), np.nan)
        if groups is not None:
            pairs = zip(query.double().cpu().numpy(), key.double().cpu().numpy(), strict=True)
            found = np.array([mixture_prediction(*p, groups=groups, law=law) for p in pairs])
        summary[name] = torch.from_numpy(found)
    return summary | _row_parts(query.double(), key.double(), layout) if parts else summary


def _row_parts(
    query: Float[Tensor, "head token dim"],
    key: Float[Tensor, "head token dim"],
    layout: TokenLayout,
) -> Summary:
    first = layout.per_frame
    scores = query @ key.mT / query.shape[-1] ** 0.5
    mass = torch.softmax(scores, dim=-1)[..., :first].sum(-1)
    inside, outside = (torch.softmax(s, -1) for s in (scores[..., :first], scores[..., first:]))
    return {
        "row_mass": mass.cpu(),
        "row_reference_deficit": _deficit(inside).cpu(),
        "row_other_deficit": _deficit(outside).cpu(),
    }


def _deficit(weights: Float[Tensor, "head query key"]) -> Float[Tensor, "head query"]:
    return math.log(weights.shape[-1]) - torch.special.entr(weights).sum(-1)
