"""The mean-field equation in one direction, solved for the density of the tokens.

.. math:: \\partial_t \\rho + \\partial_x (\\rho \\, v[\\rho]) = 0

Cells of equal width cover the tokens. Both ends of the grid move with the flow and the cells
stretch evenly between them, so that a cloud which shrinks a thousandfold keeps its resolution and
no mass crosses an end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from attention_collapse.theory.pde.particles import velocity
from attention_collapse.theory.validation import require_ascending_times, require_at_least

_CELL_STEP = 0.4  # step in cells; up to 1/2 keeps masses positive, the rest is for later stages
_RATE_STEP = 0.02  # relative change of the spread, or of the mean in units of it, in one step
_LARGEST_GROWTH = 1e6  # a cloud that expands doubles its size again and again, without a limit


@dataclass(frozen=True)
class DensityPath:
    r"""Density of the tokens over depth, on a grid that moves with them.

    Attributes:
        depth_times: :math:`t`.
        centres: Middle of each cell.
        density: Mean of :math:`\rho` over each cell.
        width: Width of the cells at each time.

    Home section: *From particles to the mean field*.
    """

    depth_times: Float[np.ndarray, "time"]
    centres: Float[np.ndarray, "time cell"]
    density: Float[np.ndarray, "time cell"]
    width: Float[np.ndarray, "time"]

    def masses(self) -> Float[np.ndarray, "time cell"]:
        """Mass of each cell."""
        return self.density * self.width[:, None]

    def expectation(
        self, function: Callable[[Float[np.ndarray, "time cell"]], Float[np.ndarray, "time cell"]]
    ) -> Float[np.ndarray, "time"]:
        r"""Integral of a function against the law, :math:`\int \varphi \, d\mu_t`.

        It takes the function in the middle of the cells, an error of second order in the width.
        """
        masses = self.masses()
        return (masses * function(self.centres)).sum(axis=-1) / masses.sum(axis=-1)

    def mean(self) -> Float[np.ndarray, "time"]:
        """Mean of the tokens."""
        return self.expectation(lambda x: x)

    def variance(self) -> Float[np.ndarray, "time"]:
        """Variance of the tokens."""
        return self.expectation(lambda x: (x - self.mean()[:, None]) ** 2)

    def wasserstein_to_dirac(self) -> Float[np.ndarray, "time"]:
        """Wasserstein-2 distance to the nearest Dirac measure, which sits in the mean."""
        return np.sqrt(self.variance())

    def standardised(
        self,
    ) -> tuple[Float[np.ndarray, "time cell"], Float[np.ndarray, "time cell"]]:
        r"""The density in standard deviations from its mean: places and values.

        .. math:: \xi = (x - m) / \sqrt\lambda, \qquad \sqrt\lambda \, \rho.
        """
        deviation = self.wasserstein_to_dirac()[:, None]
        return (self.centres - self.mean()[:, None]) / deviation, deviation * self.density


class _Cells(NamedTuple):
    """Masses of equal cells between two ends, a state of the solver or its rate of change."""

    masses: Float[np.ndarray, "cell"]
    ends: Float[np.ndarray, "2"]


def density_flow(
    density: Float[np.ndarray, "cell"],
    *,
    ends: tuple[int | float, int | float],
    value: int | float,
    bilinear: int | float,
    depth_times: Float[np.ndarray, "time"],
) -> DensityPath:
    r"""Density along the mean-field equation, by a conservative scheme of second order.

    Finite volumes with limited linear reconstruction (MUSCL), upwind fluxes relative to the moving
    cells, and the Runge–Kutta method of order three that is a convex combination of Euler steps.
    Mass is conserved and the density stays at least zero.

    Args:
        density: Mean of :math:`\rho` over equal cells, not negative. The total mass cancels.
        ends: Left and right end of the grid, with no tokens beyond them.
        value: :math:`V`.
        bilinear: :math:`b`.
        depth_times: Times :math:`t = \tau L` to report, ascending from zero or later.

    Raises:
        ValueError: If the density is negative, not finite, without mass or on fewer than three
            cells, the ends do not ascend, ``value`` or ``bilinear`` is not finite, the times are
            negative or do not ascend, or the tokens spread a millionfold before the last of them.

    Source: van Leer (1979) for the reconstruction, Shu and Osher (1988) for the time step; the
    moving cells are derived in the home section, proposition *Mass and sign*.
    Home section: *From particles to the mean field*.
    """
    _require_density(density, ends)
    require_ascending_times(depth_times)
    for name, number in {"value": value, "bilinear": bilinear}.items():
        if not np.isfinite(number):
            raise ValueError(f"{name} must be finite; got {number}: clean the input.")
    width = (ends[1] - ends[0]) / len(density)
    cells, time, reached = _Cells(density * width, np.array(ends, dtype=np.float64)), 0.0, []
    for target in depth_times:
        while time < target:
            step = min(_largest_step(cells, value, bilinear), target - time)
            cells = _runge_kutta(cells, value, bilinear, step)
            time = target if step == target - time else time + step
            _require_room(cells, _LARGEST_GROWTH * np.abs(ends).max(), time)
        reached.append(cells)
    widths = np.array([_width(state) for state in reached])
    return DensityPath(
        depth_times=depth_times,
        centres=np.array([_centres(state) for state in reached]),
        density=np.array([state.masses for state in reached]) / widths[:, None],
        width=widths,
    )


def _runge_kutta(cells: _Cells, value: int | float, bilinear: int | float, step: float) -> _Cells:
    """One step of order three, a convex combination of Euler steps."""

    def euler(state):
        rate, _ = _rate(state, value, bilinear)
        return _Cells(state.masses + step * rate.masses, state.ends + step * rate.ends)

    second = _mix(cells, euler(euler(cells)), 1 / 4)
    return _mix(cells, euler(second), 2 / 3)


def _mix(first: _Cells, second: _Cells, share: float) -> _Cells:
    """The share of the second state and the rest of the first."""
    return _Cells(*((1 - share) * a + share * b for a, b in zip(first, second, strict=True)))


def _rate(cells: _Cells, value: int | float, bilinear: int | float) -> tuple[_Cells, float]:
    """Change of masses and ends in time, and the largest speed relative to the cells."""
    edges = np.linspace(*cells.ends, len(cells.masses) + 1)
    speed = velocity(
        _centres(cells)[:, None],
        value=np.array([[value]], dtype=np.float64),
        bilinear=np.array([[bilinear]], dtype=np.float64),
        queries=edges[:, None],
        weights=cells.masses,
    )[:, 0]
    relative = speed - np.linspace(speed[0], speed[-1], len(speed))
    from_left, from_right = _reconstruct(cells.masses / _width(cells))
    flux = np.zeros_like(edges)
    inner = relative[1:-1]
    flux[1:-1] = np.maximum(inner, 0) * from_left[:-1] + np.minimum(inner, 0) * from_right[1:]
    return _Cells(-np.diff(flux), speed[[0, -1]]), float(np.abs(relative).max())


def _reconstruct(
    density: Float[np.ndarray, "cell"],
) -> tuple[Float[np.ndarray, "cell"], Float[np.ndarray, "cell"]]:
    """Density at the right and the left edge of each cell, between those of its neighbours."""
    left, right = np.diff(density)[:-1], np.diff(density)[1:]
    steepest = 2 * np.minimum(np.abs(left), np.abs(right))
    slope = np.clip((left + right) / 2, -steepest, steepest) * (left * right > 0)
    half = np.pad(slope, 1) / 2
    return density + half, density - half


def _largest_step(cells: _Cells, value: int | float, bilinear: int | float) -> float:
    """Step that keeps masses positive and follows the mean and the spread.

    The mean moves at rate V. Where it is far below the spread, only stability counts.
    """
    rate, relative = _rate(cells, value, bilinear)
    centres, masses = _centres(cells), cells.masses / cells.masses.sum()
    mean = masses @ centres
    deviation = np.sqrt(masses @ (centres - mean) ** 2)
    drift = min(abs(mean) / deviation, 1.0) if deviation > 0 else 1.0
    stretch = abs(np.diff(rate.ends)[0] / np.diff(cells.ends)[0])
    moments = max((stretch + abs(value) * drift) / _RATE_STEP, abs(value))
    return 1 / max(relative / (_CELL_STEP * _width(cells)), moments, np.finfo(float).tiny)


def _width(cells: _Cells) -> float:
    return float(cells.ends[1] - cells.ends[0]) / len(cells.masses)


def _centres(cells: _Cells) -> Float[np.ndarray, "cell"]:
    half = _width(cells) / 2
    return np.linspace(cells.ends[0] + half, cells.ends[1] - half, len(cells.masses))


def _require_density(
    density: Float[np.ndarray, "cell"], ends: tuple[int | float, int | float]
) -> None:
    if len(density) < 3:
        raise ValueError(
            f"density must have at least three cells; got {len(density)}: refine the grid."
        )
    require_at_least("density", density, 0, fix="pass means over the cells of a density")
    if not density.any():
        raise ValueError("density must have mass; got zero in every cell: move the ends.")
    if not (np.all(np.isfinite(ends)) and ends[0] < ends[1]):
        raise ValueError(f"ends must be finite and ascend; got {ends}: pass (left, right).")


def _require_room(cells: _Cells, largest: float, time: float) -> None:
    if np.abs(cells.ends).max() > largest:
        raise ValueError(
            f"depth_times must end before the tokens have spread {_LARGEST_GROWTH:g} times as far "
            f"as they started, at t ≈ {time:.6g}: ask for earlier times."
        )
