"""A measure of tokens taken through the layers of a network, with its attention profile at each.

The measure has atoms, the tokens of a few frames, and shares: every frame stands for as many as its
share says. Attention of infinitely many tokens with this law is attention of the atoms with the
logarithms of the shares added to the scores, and all that follows in a layer acts on each atom by
itself. So weights and the measure at the first block give the profile of every later layer, for any
number of frames, as long as the frames are drawn from the same law.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import erf, log_softmax

Weights = Mapping[str, Float[np.ndarray, "..."]]
"""Weights of a block by the names of its state, as in ``attn.qkv.weight``."""

_EPSILON = 1e-5
"""Added to the variance in every LayerNorm of the network."""


@dataclass(frozen=True)
class Network:
    """What a measure passes through.

    Attributes:
        frame_blocks: Weights of the blocks within frames.
        global_blocks: Weights of the blocks over all frames, as many.
        heads: Attention heads of a block.
        cosines: Of the rotation of each token of a frame; ones rotate nothing.
        sines: Likewise; zeros rotate nothing.

    Home section: *Predicting the profile*.
    """

    frame_blocks: Sequence[Weights]
    global_blocks: Sequence[Weights]
    heads: int
    cosines: Float[np.ndarray, "token dim"]
    sines: Float[np.ndarray, "token dim"]


@dataclass(frozen=True)
class Terms:
    """Which terms of a layer the propagation has, to see what each is worth.

    Attributes:
        mlp: Whether MLPs act.
        frame_attention: Whether attention within frames acts.
        own_norm: Whether LayerNorm divides every token by its own deviation; without, all are
            divided by the root mean square of theirs under the measure.

    Home section: *Predicting the profile*.
    """

    mlp: bool = True
    frame_attention: bool = True
    own_norm: bool = True


@dataclass(frozen=True)
class Profile:
    r"""Entropy deficit and stable rank of each head under the measure.

    Attributes:
        entropy_deficit: :math:`\sum_{ij} w_i A_{ij} \ln (A_{ij} / w_j)`, nats.
        stable_rank: :math:`\|T\|_F^2 / \sigma_1(T)^2` of
            :math:`T_{ij} = \sqrt{w_i} A_{ij} / \sqrt{w_j}`.

    Home section: *Predicting the profile*.
    """

    entropy_deficit: Float[np.ndarray, "head"]
    stable_rank: Float[np.ndarray, "head"]


def frame_shares(shown: int, frames: int) -> Float[np.ndarray, "frame"]:
    """Shares of a few frames that stand for many: the first for itself, the others for the rest.

    Args:
        shown: Frames that are there, two or more.
        frames: Frames that they stand for, as many or more.

    Raises:
        ValueError: If there are fewer than two frames, or more than they stand for.

    Home section: *Predicting the profile*.
    """
    if not 2 <= shown <= frames:
        raise ValueError(
            f"shown must be from 2 to the {frames} frames that they stand for, got {shown}: the "
            "first stands for itself alone"
        )
    later = np.full(shown - 1, (frames - 1) / (shown - 1))
    return np.concatenate([np.ones(1), later]) / frames


def propagate(
    tokens: Float[np.ndarray, "frame token width"],
    shares: Float[np.ndarray, "frame"],
    network: Network,
    *,
    terms: Terms | None = None,
) -> Iterator[Profile]:
    r"""The attention profile of every global layer, from the measure at the first block.

    .. math:: A_{ij} \propto w_j \exp(q_i \cdot k_j / \sqrt d), \qquad
        x_i \leftarrow x_i + \gamma_1 \odot W_O \sum_j A_{ij} v_j, \qquad
        x_i \leftarrow x_i + \gamma_2 \odot \mathrm{MLP}(\mathrm{LN}(x_i)),

    within frames with equal shares, over frames with :math:`w_j` the share of the frame over its
    number of tokens. With all frames and equal shares it is the network itself.

    Args:
        tokens: Tokens of a few frames, before the first block.
        shares: Of each frame, positive with sum one; see ``frame_shares``.
        network: Weights.
        terms: Which terms act; ``None`` for all.

    Raises:
        ValueError: If the shares are not one for each frame, positive, with sum one.

    Source: derived in the home section, section *Propagation*.
    Home section: *Predicting the profile*.
    """
    _require_shares(shares, len(tokens))
    terms = terms or Terms()
    frames, count, width = tokens.shape
    whole = np.repeat(shares / count, count)
    uniform = np.full(count, 1 / count)
    spread = np.broadcast_to(whole.reshape(frames, count), (frames, count))
    for within, over in zip(network.frame_blocks, network.global_blocks, strict=True):
        tokens = _block(tokens, spread, uniform, within, network, terms, terms.frame_attention)
        flat = tokens.reshape(1, frames * count, width)
        query, key, _ = _heads(flat, spread.reshape(1, -1), over, network, terms)
        yield profile(query[0], key[0], whole)
        flat = _block(flat, spread.reshape(1, -1), whole, over, network, terms, True)
        tokens = flat.reshape(frames, count, width)


def profile(
    query: Float[np.ndarray, "head token dim"],
    key: Float[np.ndarray, "head token dim"],
    shares: Float[np.ndarray, "token"],
) -> Profile:
    """Entropy deficit and stable rank of attention between atoms of some shares.

    Args:
        query: Queries after norm and rotation.
        key: Keys.
        shares: Of each token, positive with sum one.

    Home section: *Predicting the profile*.
    """
    _require_shares(shares, query.shape[1])
    logarithms = _log_attention(query, key, shares)
    attention, root = np.exp(logarithms), np.sqrt(shares)
    deficit = np.einsum("i,hij,hij->h", shares, attention, logarithms - np.log(shares))
    values = np.linalg.svd(root[:, None] * attention / root, compute_uv=False)
    return Profile(deficit, (values**2).sum(-1) / values[:, 0] ** 2)


def _block(tokens, measure, shares, weights, network, terms, attends):
    """The tokens ``[batch token width]`` after a block; ``measure`` has the share of each."""
    if attends:
        query, key, value = _heads(tokens, measure, weights, network, terms)
        mixed = np.exp(_log_attention(query, key, shares)) @ value
        joined = np.moveaxis(mixed, -3, -2).reshape(tokens.shape)
        output = _linear(joined, weights, "attn.proj")
        tokens = tokens + output * weights.get("ls1.gamma", 1.0)
    if terms.mlp:
        hidden = _linear(_norm(tokens, measure, weights, "norm2", terms), weights, "mlp.fc1")
        active = hidden * 0.5 * (1 + erf(hidden / np.sqrt(2)))
        tokens = tokens + _linear(active, weights, "mlp.fc2") * weights.get("ls2.gamma", 1.0)
    return tokens


def _heads(tokens, measure, weights, network, terms):
    """Query, key and value ``[batch head token dim]``, the first two normalised and rotated."""
    read = _linear(_norm(tokens, measure, weights, "norm1", terms), weights, "attn.qkv")
    batch, count, _ = read.shape
    parts = read.reshape(batch, count, 3, network.heads, -1).transpose(2, 0, 3, 1, 4)
    query, key = (
        _rotated(_own_norm(part, weights, name), network)
        for part, name in zip(parts, ("attn.q_norm", "attn.k_norm"), strict=False)
    )
    return query, key, parts[2]


def _log_attention(query, key, shares):
    scores = query @ np.swapaxes(key, -1, -2) / np.sqrt(query.shape[-1])
    return log_softmax(scores + np.log(shares), axis=-1)


def _linear(tokens, weights, name):
    return tokens @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _norm(tokens, measure, weights, name, terms):
    if terms.own_norm:
        return _own_norm(tokens, weights, name)
    centred = tokens - tokens.mean(-1, keepdims=True)
    variance = (measure * (centred**2).mean(-1)).sum() / measure.sum()
    scaled = centred / np.sqrt(variance + _EPSILON)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _own_norm(tokens, weights, name):
    if f"{name}.weight" not in weights:
        return tokens
    centred = tokens - tokens.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + _EPSILON)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _rotated(tokens, network):
    """Channel pairs turned by the angles of their positions, the same in every frame."""
    frames = tokens.reshape(*tokens.shape[:-2], -1, *network.cosines.shape)
    first, second = np.moveaxis(frames.reshape(*frames.shape[:-1], 2, 2, -1), -2, 0)
    turned = np.stack([-second, first], axis=-2).reshape(frames.shape)
    return (frames * network.cosines + turned * network.sines).reshape(tokens.shape)


def _require_shares(shares: Float[np.ndarray, "_"], count: int) -> None:
    if len(shares) != count or shares.min() <= 0 or not np.isclose(shares.sum(), 1):
        raise ValueError(
            f"shares must be positive with sum one, one for each of {count}, got {len(shares)} "
            f"from {shares.min():.3g} with sum {shares.sum():.6g}: divide by their sum"
        )
