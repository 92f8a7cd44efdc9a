"""The Barenblatt solution against the equation that it solves, its mass and its spread."""

import numpy as np
import pytest
import sympy
from scipy.integrate import quad

from attention_collapse.theory.pde.porous_medium import (
    barenblatt,
    barenblatt_radius,
    barenblatt_variance,
    growth_exponent,
)
from tolerances import FLOAT64, POROUS_MEDIUM_TO_HEAT, QUADRATURE

LAWS = [(1, 2.0), (1, 3.0), (2, 2.0), (3, 1.5), (5, 4.0)]
each_law = pytest.mark.parametrize(("directions", "exponent"), LAWS)


def surface(directions):
    """Area of the unit sphere; two points in one direction."""
    return 2 * np.pi ** (directions / 2) / float(sympy.gamma(sympy.Rational(directions, 2)))


def moment(order, time, *, directions, exponent, mass):
    """Integral of |x|^order times the density, by quadrature over the radius."""
    radius = barenblatt_radius(time, exponent=exponent, mass=mass, directions=directions)

    def shell(angle):
        """Radius R sin(angle): the root at the edge becomes a power of the cosine."""
        distance = radius * np.sin(angle)
        value = barenblatt(
            np.array([distance]), time, exponent=exponent, mass=mass, directions=directions
        )
        return value[0] * distance ** (order + directions - 1) * radius * np.cos(angle)

    return surface(directions) * quad(shell, 0, np.pi / 2, epsabs=0, epsrel=QUADRATURE)[0]


@each_law
def test_the_closed_form_solves_the_porous_medium_equation(directions, exponent):
    """Sympy differentiates the formula of the module in radial coordinates."""
    t, x, constant = sympy.symbols("t x K", positive=True)
    gamma = sympy.nsimplify(exponent)
    theta = 1 / (directions * (gamma - 1) + 2)
    inside = constant - theta * (gamma - 1) / (2 * gamma) * x**2 / t ** (2 * theta)
    density = t ** (-directions * theta) * inside ** (1 / (gamma - 1))
    pressure = t ** (-directions * theta * gamma) * inside ** (gamma / (gamma - 1))
    flux = x ** (directions - 1) * sympy.diff(pressure, x)
    laplacian = sympy.diff(flux, x) / x ** (directions - 1)
    assert sympy.simplify((sympy.diff(density, t) - laplacian) / density) == 0
    radius = barenblatt_radius(2.3, exponent=exponent, mass=1.7, directions=directions)
    height = barenblatt(
        np.array([0.0, 0.6 * radius]), 2.3, exponent=exponent, mass=1.7, directions=directions
    )
    fixed = sympy.solve(inside.subs({t: 2.3, x: radius}), constant)[0]
    for value, distance in zip(height, (0, 0.6 * radius), strict=True):
        expected = density.subs({constant: fixed, t: 2.3, x: distance}).evalf()
        assert value == pytest.approx(float(expected), rel=FLOAT64)


@each_law
@pytest.mark.parametrize("time", [1e-3, 1.0, 40.0])
def test_mass_and_variance_are_those_of_the_density(directions, exponent, time):
    law = {"directions": directions, "exponent": exponent, "mass": 1.7}
    assert moment(0, time, **law) == pytest.approx(1.7, rel=QUADRATURE)
    variance = moment(2, time, **law) / (1.7 * directions)
    assert barenblatt_variance(time, **law) == pytest.approx(variance, rel=QUADRATURE)


@each_law
def test_the_radius_grows_with_the_stated_power_of_time(directions, exponent):
    radii = [
        barenblatt_radius(t, exponent=exponent, directions=directions) for t in (0.01, 1.0, 100.0)
    ]
    growth = growth_exponent(exponent=exponent, directions=directions)
    np.testing.assert_allclose(np.diff(np.log10(radii)), 2 * growth, rtol=FLOAT64)


def test_the_density_ends_at_its_radius():
    radius = barenblatt_radius(3.0, exponent=2.0)
    inside, edge, outside = barenblatt(radius * np.array([0.999, 1.0, 1.5]), 3.0, exponent=2.0)
    assert inside > 0
    assert edge == outside == 0


def test_close_to_the_heat_equation_the_density_is_gaussian():
    """At exponent 1 the equation is the heat equation, with variance 2 t."""
    x = np.linspace(-3, 3, 7)
    near = barenblatt(x, 0.5, exponent=1 + 1e-6)
    np.testing.assert_allclose(
        near, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), atol=POROUS_MEDIUM_TO_HEAT
    )
    assert barenblatt_variance(0.5, exponent=1 + 1e-6) == pytest.approx(
        1.0, rel=POROUS_MEDIUM_TO_HEAT
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exponent": 1.0}, "exponent must be finite and above 1"),
        ({"exponent": float("nan")}, "exponent must be finite and above 1"),
        ({"time": 0.0}, "time must be finite and positive"),
        ({"mass": -1.0}, "mass must be finite and positive"),
        ({"directions": 0}, "directions must be finite and at least 1"),
        ({"distance": np.array([np.inf])}, "distance must be finite"),
    ],
)
def test_what_the_closed_form_does_not_cover_is_refused(change, message):
    arguments = {"distance": np.zeros(1), "time": 1.0, "exponent": 2.0, **change}
    with pytest.raises(ValueError, match=message):
        barenblatt(arguments.pop("distance"), arguments.pop("time"), **arguments)


@pytest.mark.parametrize("directions", [1, 2, 3])
def test_the_height_near_the_heat_equation(directions):
    """At an exponent of 1 + 1e-9 the power 1e9 must not cost the digits of its gamma function.

    A thousand times closer than the density above.
    """
    height = barenblatt(np.zeros(1), 0.5, exponent=1 + 1e-9, directions=directions)[0]
    assert height == pytest.approx(
        (2 * np.pi) ** (-directions / 2), rel=POROUS_MEDIUM_TO_HEAT / 1000
    )
