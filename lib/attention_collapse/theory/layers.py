"""One layer of attention in each architecture, on particles and in the closure.

Attention reads the vectors :math:`y`: the tokens themselves, or their directions
:math:`x / \\lVert x \\rVert` under pre-norm. A query keeps the share :math:`\\lambda_2` of its
attention on its own matches and spends the rest by content,

.. math:: A = \\lambda_2 I + (1 - \\lambda_2)\\, \\mathrm{softmax}_j(\\beta\\, y_i \\cdot y_j).

``layer`` moves particles. ``response_law`` moves the spread of a Gaussian cloud: attention returns
the fraction :math:`g = \\lambda_2 + (1 - \\lambda_2)\\, a u` of a deviation, and the architecture
says what becomes of it.
"""

from enum import StrEnum

import numpy as np
from jaxtyping import Float

from attention_collapse.theory.softmax import attention_matrix
from attention_collapse.theory.validation import (
    require_at_least,
    require_between,
    require_positive,
    require_tokens,
)


class Scheme(StrEnum):
    r"""What a layer does with the output :math:`A y` of attention.

    Attributes:
        PURE: :math:`x \leftarrow A x`, no residual.
        AVERAGING: :math:`x \leftarrow (1 - \tau) x + \tau A x`.
        POST_NORM: :math:`x \leftarrow \mathrm N(x + \tau A x)` with
            :math:`\mathrm N(x) = x / \lVert x \rVert`.
        PRE_NORM: :math:`x \leftarrow x + \tau A\, \mathrm N(x)`, the form of VGGT.
        CONTRACTIVE: :math:`x \leftarrow x - \tau A x`.
        EXPANSIVE: :math:`x \leftarrow x + \tau A x`.

    Home section: *How fast: Dirac at O(1/L)*.
    """

    PURE = "pure"
    AVERAGING = "averaging"
    POST_NORM = "post-norm"
    PRE_NORM = "pre-norm"
    CONTRACTIVE = "contractive"
    EXPANSIVE = "expansive"

    @property
    def normalises(self) -> bool:
        """Whether the layer takes directions of tokens, so that scores can be cosines."""
        return self in (Scheme.PRE_NORM, Scheme.POST_NORM)

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise ValueError(f"scheme must be one of {[*map(str, cls)]}; got {value!r}: pick one.")


def layer(
    tokens: Float[np.ndarray, "token width"],
    *,
    scheme: Scheme | str,
    step: int | float,
    temperature: int | float,
    match_share: int | float = 0.0,
) -> Float[np.ndarray, "token width"]:
    r"""Tokens after one layer of softmax attention with values :math:`V = I`.

    Args:
        tokens: :math:`x_i`. Under pre-norm and post-norm none may be zero.
        scheme: The update, a ``Scheme`` or its name.
        step: :math:`\tau`, in units of the tokens; the scheme ``pure`` has none and ignores it.
        temperature: :math:`\beta`, factor of the scores.
        match_share: :math:`\lambda_2`, share of attention that stays on the token itself.

    Raises:
        ValueError: If there is no such scheme, there is no token, one is not finite or cannot be
            normalised, or the step, the temperature or the share is out of range.

    Source: definition.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    scheme = Scheme(scheme)
    require_positive("step", step, fix="a layer must move the tokens")
    require_between("match_share", match_share, 0, 1, ends=True, fix="it is a share")
    if not np.isfinite(temperature):
        raise ValueError(f"temperature must be finite; got {temperature}: pass a factor of scores.")
    seen = attended(tokens, scheme=scheme)
    content = attention_matrix(seen, bilinear=temperature * np.eye(tokens.shape[1])) @ seen
    output = match_share * seen + (1.0 - match_share) * content
    match scheme:
        case Scheme.PURE:
            return output
        case Scheme.AVERAGING:
            return (1.0 - step) * tokens + step * output
        case Scheme.POST_NORM:
            return normalise(tokens + step * output)
        case Scheme.CONTRACTIVE:
            return tokens - step * output
        case Scheme.PRE_NORM | Scheme.EXPANSIVE:
            return tokens + step * output


def attended(
    tokens: Float[np.ndarray, "token width"], *, scheme: Scheme | str
) -> Float[np.ndarray, "token width"]:
    """What attention reads: the directions of the tokens under pre-norm, else the tokens.

    Raises:
        ValueError: If the scheme has no such name, there is no token, one is not finite, or one
            that must be normalised is zero.

    Source: definition.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    require_tokens("tokens", tokens)
    return normalise(tokens) if Scheme(scheme) is Scheme.PRE_NORM else tokens


def normalise(
    tokens: Float[np.ndarray, "token width"],
) -> Float[np.ndarray, "token width"]:
    r"""Directions of the tokens, :math:`\mathrm N(x) = x / \lVert x \rVert`.

    Raises:
        ValueError: If there is no token, or one is zero or not finite.

    Source: definition.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    require_tokens("tokens", tokens)
    norms = np.linalg.norm(tokens, axis=1, keepdims=True)
    require_positive("norms of the tokens", norms, fix="a zero token has no direction")
    return tokens / norms


def cloud_covariance(
    tokens: Float[np.ndarray, "token width"], *, scheme: Scheme | str
) -> Float[np.ndarray, "width width"]:
    r"""Covariance :math:`\Sigma` of what attention reads.

    Its trace is the variance, the root of the trace the spread, and its eigenvalues times
    :math:`\beta` are the sharpness values of the cloud.

    Raises:
        ValueError: As ``attended``.

    Source: definition.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    seen = attended(tokens, scheme=scheme)
    return np.atleast_2d(np.cov(seen, rowvar=False, bias=True))


def particle_spread(
    tokens: Float[np.ndarray, "token width"],
    *,
    scheme: Scheme | str,
    step: int | float,
    temperature: int | float,
    layers: int,
    match_share: int | float = 0.0,
) -> Float[np.ndarray, "depth"]:
    r"""Spread of particles after 0, 1, …, ``layers`` layers, relative to its start.

    It is :math:`\sqrt{\operatorname{tr}\Sigma}` of what attention reads. Arguments as in ``layer``.

    Raises:
        ValueError: As ``layer``, and if what attention reads agrees at the start or ``layers`` is
            negative.

    Source: definition.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    require_at_least("layers", layers, 0, fix="count layers from zero")
    settings = {"scheme": scheme, "step": step, "temperature": temperature}
    variance = [np.trace(cloud_covariance(tokens, scheme=scheme))]
    require_positive("variance at the start", variance[0], fix="tokens that agree cannot collapse")
    for _ in range(layers):
        tokens = layer(tokens, match_share=match_share, **settings)
        variance.append(np.trace(cloud_covariance(tokens, scheme=scheme)))
    return np.sqrt(np.array(variance) / variance[0])


def response_law(
    scheme: Scheme | str,
    *,
    step: int | float | Float[np.ndarray, "_"],
    sharpness: int | float | Float[np.ndarray, "*direction"],
    match_share: int | float,
    layers: int,
    cosine_scores: bool = False,
) -> Float[np.ndarray, "depth *direction"]:
    r"""Spread of a Gaussian cloud after 0, 1, …, ``layers`` layers, relative to its start.

    Attention returns the fraction :math:`g = \lambda_2 + (1 - \lambda_2)\, a u` of a deviation
    :math:`\delta`, with :math:`u = \delta^2`. One layer is

    .. math::
        \delta \leftarrow \delta \cdot
        \begin{cases}
        g & \text{pure} \\
        1 - \tau + \tau g & \text{averaging} \\
        (1 + \tau g) / (1 + \tau) & \text{post-norm} \\
        (r + \tau g) / (r + \tau), \quad r \leftarrow r + \tau & \text{pre-norm} \\
        1 - \tau g & \text{contractive} \\
        1 + \tau g & \text{expansive}
        \end{cases}

    with :math:`r = 1` at the start. Under pre-norm and post-norm it holds for a narrow cloud whose
    scores compare deviations from the mean direction. Scores that are cosines, as in ``layer``,
    also weigh down the keys far from that direction: :math:`a u` becomes
    :math:`a u / (1 + a u)`, the same to first order.

    Args:
        scheme: The update, a ``Scheme`` or its name.
        step: :math:`\tau` in units of the starting norm, one for all layers or one for each.
        sharpness: :math:`a` at the start, for any number of directions, at least zero; below 1
            except for ``contractive``, ``expansive`` and cosine scores.
        match_share: :math:`\lambda_2`, in :math:`[0, 1]`.
        layers: Number of layers.
        cosine_scores: Whether scores are :math:`\beta \cos`, under pre-norm and post-norm.

    Raises:
        ValueError: If an argument is out of range, the steps are not one for each layer, scores
            are cosines without normalisation, an averaging step is above 1, a contractive layer
            would overshoot the mean, or an expansive cloud outgrows float64.

    Source: derived in the home section, proposition *Response law*.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    scheme = Scheme(scheme)
    require_at_least("layers", layers, 0, fix="count layers from zero")
    if np.shape(step) not in ((), (layers,)):
        raise ValueError(
            f"step must be one number or one for each of {layers} layers; got shape "
            f"{np.shape(step)}: pass as many steps as layers."
        )
    steps = np.broadcast_to(np.asarray(step, dtype=np.float64), (layers,))
    _require_response(scheme, steps, sharpness, match_share, cosine_scores)
    spread = np.ones((layers + 1, *np.shape(sharpness)))
    norm = 1.0
    with np.errstate(over="ignore"):
        for depth, tau in enumerate(steps):
            content = sharpness * spread[depth] ** 2
            content = content / (1.0 + content) if cosine_scores else content
            returned = match_share + (1.0 - match_share) * content
            spread[depth + 1] = spread[depth] * _factor(scheme, tau, returned, norm)
            norm += tau
    if not np.all(np.isfinite(spread)):
        raise ValueError(
            f"layers must end before the cloud outgrows float64; got {layers}: an expansive cloud "
            "blows up in finite depth time, ask for fewer layers."
        )
    return spread


def _factor(scheme, step, returned, norm):
    """Factor on a relative deviation of which attention returns the fraction ``returned``."""
    match scheme:
        case Scheme.PURE:
            return returned
        case Scheme.AVERAGING:
            return 1.0 - step + step * returned
        case Scheme.POST_NORM:
            return (1.0 + step * returned) / (1.0 + step)
        case Scheme.PRE_NORM:
            return (norm + step * returned) / (norm + step)
        case Scheme.CONTRACTIVE:
            return 1.0 - step * returned
        case Scheme.EXPANSIVE:
            return 1.0 + step * returned


def _require_response(scheme, steps, sharpness, match_share, cosine_scores):
    require_positive("step", steps, fix="a layer must move the tokens")
    require_at_least("sharpness", sharpness, 0, fix="content scores must favour like tokens")
    require_between("match_share", match_share, 0, 1, ends=True, fix="it is a share")
    largest = np.max(sharpness, initial=0.0)
    if cosine_scores and not scheme.normalises:
        raise ValueError(
            f"cosine_scores must be off for the scheme {scheme}: its tokens are not normalised."
        )
    any_sharpness = cosine_scores or scheme in (Scheme.CONTRACTIVE, Scheme.EXPANSIVE)
    if not any_sharpness and not largest < 1.0:
        raise ValueError(
            f"sharpness must be below 1 for the scheme {scheme}; got {largest}: from there on the "
            "Gaussian closure grows where particles do not."
        )
    if scheme is Scheme.AVERAGING and steps.max(initial=0.0) > 1.0:
        raise ValueError(
            f"step must be at most 1 for averaging; got {steps.max()}: a weight is not negative."
        )
    returned = match_share + (1.0 - match_share) * largest
    if scheme is Scheme.CONTRACTIVE and steps.max(initial=0.0) * returned > 1.0:
        raise ValueError(
            "step times the returned fraction must be at most 1 for the scheme contractive; got "
            f"{steps.max() * returned}: a longer step overshoots the mean, shorten it."
        )
