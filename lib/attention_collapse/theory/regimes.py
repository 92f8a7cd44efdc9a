"""Which architecture collapses at which rate.

``regime`` takes the value matrix, the bilinear form and the architecture, names the theorem that
covers them and returns the rate of four quantities. It refuses what no theorem covers.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float

from attention_collapse.theory.layers import Scheme
from attention_collapse.theory.square_root import symmetric_square_root
from attention_collapse.theory.validation import require_positive, require_square_matrices

_ROUNDING = 1e-10  # relative size below which an eigenvalue or a commutator counts as zero


class Decay(StrEnum):
    r"""How a quantity changes with the layer index :math:`L`; :math:`e` is the exponent.

    Attributes:
        POWER: :math:`L^{-e}`.
        EXPONENTIAL: :math:`e^{-e L}`.
        DOUBLY_EXPONENTIAL: :math:`a_0^{\,e\, 3^L}` with the largest sharpness :math:`a_0` at the
            start; an upper bound where :math:`B` and :math:`\Sigma` do not commute.
        NONE: tends to a positive limit.
        BLOW_UP: :math:`(1 - L/L_*)^{-e}`, infinite at layer :math:`L_*`.

    Home section: *How fast: Dirac at O(1/L)*.
    """

    POWER = "power"
    EXPONENTIAL = "exponential"
    DOUBLY_EXPONENTIAL = "doubly exponential"
    NONE = "none"
    BLOW_UP = "blow-up"


@dataclass(frozen=True)
class Rate:
    """Kind and exponent of a decay.

    Home section: *How fast: Dirac at O(1/L)*.
    """

    decay: Decay
    exponent: float

    def raised(self, power: int) -> "Rate":
        """Rate of a power of the quantity."""
        return Rate(self.decay, power * self.exponent)


@dataclass(frozen=True)
class Regime:
    r"""What a stack of equal attention layers does to a cloud of tokens.

    Attributes:
        scheme: The update.
        limit: What the cloud tends to.
        spread: Rate of the spread, relative to the norm of the tokens under pre-norm and post-norm
            and to its start elsewhere.
        theorem: Label of the theorem that says so.
        blow_up_layer: :math:`L_*` in small steps, where the variance is infinite, if any.

    Home section: *How fast: Dirac at O(1/L)*.
    """

    scheme: Scheme
    limit: str
    spread: Rate
    theorem: str
    blow_up_layer: float | None = None

    @property
    def variance(self) -> Rate:
        r"""Rate of the variance, and of :math:`1 - \cos` between directions."""
        return self.spread.raised(2)

    @property
    def singular_ratio(self) -> Rate:
        r"""Rate of :math:`\sigma_2/\sigma_1` of content attention, linear in the variance."""
        return self._attention(2)

    @property
    def stable_rank(self) -> Rate:
        """Rate of the stable rank less one of content attention, quadratic in the variance."""
        return self._attention(4)

    def _attention(self, power: int) -> Rate:
        blows_up = self.spread.decay is Decay.BLOW_UP
        return Rate(Decay.NONE, 0.0) if blows_up else self.spread.raised(power)


def regime(
    value: Float[np.ndarray, "width _"],
    bilinear: Float[np.ndarray, "_ _"],
    *,
    normalisation: str,
    residual: str,
    step: int | float,
    covariance: Float[np.ndarray, "_ _"],
    scaled_by_depth: bool = False,
) -> Regime:
    r"""Regime of a stack of layers, from its matrices and its architecture.

    For a sum without normalisation the rate is that of small steps.

    Args:
        value: :math:`V = W_O W_V`.
        bilinear: :math:`B = W_Q^\top W_K / \sqrt{d_h}`; under pre-norm and post-norm the form
            that compares deviations from the mean direction.
        normalisation: ``none``, ``pre`` or ``post``.
        residual: ``none`` (:math:`x \leftarrow V A x`), ``average``
            (:math:`x \leftarrow (1 - \tau) x + \tau V A x`) or ``sum``
            (:math:`x \leftarrow x + \tau V A x`).
        step: :math:`\tau` in units of the starting norm; for a stack scaled by depth, the
            number :math:`T` in the step :math:`T/L`. Without a residual it has no effect.
        covariance: :math:`\Sigma` at the start of what attention reads. Under pre-norm and
            post-norm the cloud is taken to be narrow.
        scaled_by_depth: Whether a stack of :math:`L` layers uses the step :math:`T/L`.

    Raises:
        ValueError: If a matrix is empty, not finite or not square of one width, the covariance is
            not positive definite, an option has no such name, a layer would overshoot the mean,
            or no theorem covers the case.

    Source: derived in the home section, under *The regimes*.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    require_square_matrices(len(value), value=value, bilinear=bilinear, covariance=covariance)
    require_positive("step", step, fix="a layer must move the tokens")
    _require_definite(covariance)
    scheme = _scheme(normalisation, residual)
    if scheme is Scheme.EXPANSIVE:
        return _without_norm(value, bilinear, covariance, step, scaled_by_depth)
    factor = _identity_factor(value, scheme)
    in_the_limit = scheme.normalises and scaled_by_depth
    sharpness = _contracting_sharpness(bilinear, covariance, scheme, small_steps=in_the_limit)
    if scaled_by_depth and scheme is not Scheme.PURE:
        return Regime(scheme, "a smaller cloud", Rate(Decay.NONE, 0.0), "prop-step")
    if scheme is Scheme.PRE_NORM:
        return Regime(scheme, "Dirac", Rate(Decay.POWER, 1.0), "thm-three-clocks")
    if scheme is Scheme.POST_NORM:
        rate = float(np.log1p(factor * step))
        return Regime(scheme, "Dirac", Rate(Decay.EXPONENTIAL, rate), "thm-three-clocks")
    return _averaging(scheme, step, sharpness)


def _scheme(normalisation: str, residual: str) -> Scheme:
    schemes = {
        ("none", "none"): Scheme.PURE,
        ("none", "average"): Scheme.AVERAGING,
        ("none", "sum"): Scheme.EXPANSIVE,
        ("pre", "sum"): Scheme.PRE_NORM,
        ("post", "sum"): Scheme.POST_NORM,
    }
    if (normalisation, residual) not in schemes:
        raise ValueError(
            f"normalisation and residual must be one of {[*schemes]}; got "
            f"{(normalisation, residual)}: no theorem here covers another pair."
        )
    return schemes[normalisation, residual]


def _averaging(scheme, step, sharpness):
    """Layers that take a weighted mean of the token and attention; no residual is weight one."""
    weight = 1.0 if scheme is Scheme.PURE else step
    if weight > 1.0:
        raise ValueError(f"step must be at most 1 for averaging; got {step}: it is a weight.")
    if sharpness == 0.0 and weight == 1.0:
        raise ValueError(
            "bilinear must not be zero without residual; got a sharpness of 0: one layer merges "
            "all tokens, there is no rate to name."
        )
    if weight == 1.0:
        return Regime(scheme, "Dirac", Rate(Decay.DOUBLY_EXPONENTIAL, 0.5), "prop-averaging")
    rate = Rate(Decay.EXPONENTIAL, float(-np.log1p(-weight)))
    return Regime(scheme, "Dirac", rate, "prop-averaging")


def _without_norm(value, bilinear, covariance, step, scaled_by_depth):
    """The sum without normalisation: the signs of the growth matrix decide."""
    root = symmetric_square_root(covariance)
    growth = root @ _growth_matrix(value, bilinear, covariance) @ root
    eigenvalues = np.linalg.eigvalsh(growth)
    largest = eigenvalues[-1]
    returned = np.linalg.norm(value, 2) * np.linalg.norm(root @ bilinear @ root, 2)
    rounding = _ROUNDING * returned
    theorem = "thm-riccati-solved"
    if largest > rounding:
        layer = float(1.0 / (largest * step))
        if not scaled_by_depth:
            rate = Rate(Decay.BLOW_UP, 0.5)
            return Regime(Scheme.EXPANSIVE, "the top directions", rate, theorem, layer)
        if layer <= 1.0:
            raise ValueError(
                f"step must be below {layer * step:.6g}, where the variance is infinite, for a "
                f"stack scaled by depth; got {step}: shorten it."
            )
        return Regime(Scheme.EXPANSIVE, "a larger cloud", Rate(Decay.NONE, 0.0), theorem)
    if not scaled_by_depth:
        _require_no_overshoot(step * returned)
    if scaled_by_depth or largest >= -rounding:
        limit = "a smaller cloud" if scaled_by_depth else "a cloud in the directions that rest"
        return Regime(Scheme.CONTRACTIVE, limit, Rate(Decay.NONE, 0.0), theorem)
    return Regime(Scheme.CONTRACTIVE, "Dirac", Rate(Decay.POWER, 0.5), theorem)


def _require_no_overshoot(moved):
    """Refuse layers that move a deviation beyond the mean, which small steps do not."""
    if moved > 1.0:
        raise ValueError(
            "step times the size of value times the sharpness must be at most 1 for the scheme "
            f"contractive; got {moved:.6g}: a longer step overshoots the mean, shorten it."
        )


def _growth_matrix(value, bilinear, covariance):
    r"""Matrix :math:`G` of the solved Riccati equation, :math:`\Sigma^{-1}(t) = \Sigma^{-1} - t G`.

    It is :math:`v (B + B^\top)` for :math:`V = v I`, and :math:`2 V B` for symmetric matrices
    that commute with each other and with the covariance.
    """
    width = len(value)
    if _close(value, value[0, 0] * np.eye(width)):
        return value[0, 0] * (bilinear + bilinear.T)
    matrices = (value, bilinear, covariance)
    symmetric = all(_close(matrix, matrix.T) for matrix in matrices)
    pairs = ((value, bilinear), (value, covariance), (bilinear, covariance))
    if symmetric and all(_close(left @ right, right @ left) for left, right in pairs):
        return 2.0 * value @ bilinear
    raise ValueError(
        "value must be a multiple of the identity, or value, bilinear and covariance symmetric and "
        "commuting; got neither: integrate theory.closure.gaussian_flow instead."
    )


def _identity_factor(value, scheme):
    """Factor :math:`v > 0` of values :math:`V = v I`."""
    factor = float(value[0, 0])
    plain = scheme in (Scheme.PURE, Scheme.AVERAGING)
    multiple = factor * np.eye(len(value))
    if not _close(value, multiple) or factor <= 0 or (plain and factor != 1.0):
        rule = "the identity" if plain else "a positive multiple of the identity"
        raise ValueError(
            f"value must be {rule} for the scheme {scheme}; got entries up to "
            f"{np.abs(value - multiple).max():.3g} away from {factor:.6g} times the identity: no "
            "theorem here covers other values."
        )
    return factor


def _contracting_sharpness(bilinear, covariance, scheme, *, small_steps):
    """Spectral norm of the sharpness; in small steps the top eigenvalue of its symmetric part."""
    root = symmetric_square_root(covariance)
    form = root @ bilinear @ root
    if small_steps:
        sharpness = float(np.linalg.eigvalsh(form + form.T)[-1] / 2.0)
    else:
        sharpness = float(np.linalg.norm(form, 2))
    if not sharpness < 1.0:
        raise ValueError(
            f"sharpness must be below 1 for the scheme {scheme}; got {sharpness:.6g}: clusters may "
            "form before the tokens meet, or layers overshoot, and no theorem here covers that."
        )
    return sharpness


def _require_definite(covariance):
    smallest = np.linalg.eigvalsh(covariance)[0]
    if not _close(covariance, covariance.T) or smallest <= 0:
        asymmetry = np.abs(covariance - covariance.T).max()
        raise ValueError(
            "covariance must be symmetric with positive eigenvalues; got an asymmetry of "
            f"{asymmetry:.3g} and a smallest eigenvalue of {smallest:.3g}: leave out the "
            "directions in which the tokens agree."
        )


def _close(left, right):
    scale = max(np.abs(left).max(), np.abs(right).max())
    return bool(np.abs(left - right).max() <= _ROUNDING * scale)
