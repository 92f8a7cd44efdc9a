"""Random materials of the things in a building."""

from attention_collapse.scenes.draws import Draws
from attention_collapse.scenes.materials import Material, Pattern, linear_colour


def plaster(draws: Draws) -> Material:
    """A nearly white ceiling.

    Home section: *The phenomenon*.
    """
    return _cloudy(draws, saturation=draws.uniform(0.02, 0.08), value=draws.uniform(0.8, 0.9))


def paint(draws: Draws) -> Material:
    """A coloured wall paint, slightly cloudy.

    Home section: *The phenomenon*.
    """
    return _cloudy(draws, saturation=draws.uniform(0.12, 0.35), value=draws.uniform(0.65, 0.85))


def _cloudy(draws: Draws, *, saturation: float, value: float) -> Material:
    hue = draws.uniform(0.0, 1.0)
    return Material(
        base=linear_colour(hue, saturation, value),
        accent=linear_colour(hue + 0.03, saturation, 0.85 * value),
        pattern=Pattern.MOTTLED,
        offset=_anywhere(draws),
        contrast=0.5,
    )


def wallpaper(draws: Draws) -> Material:
    """Upright stripes in two tones of one colour.

    Home section: *The phenomenon*.
    """
    hue, saturation = draws.uniform(0.0, 1.0), draws.uniform(0.12, 0.35)
    return Material(
        base=linear_colour(hue, saturation, 0.8),
        accent=linear_colour(hue + draws.uniform(-0.1, 0.1), saturation, 0.6),
        pattern=Pattern.STRIPES,
        period=(draws.uniform(0.3, 0.6), 1.0),
        offset=_anywhere(draws),
        contrast=0.5,
    )


def bricks(draws: Draws) -> Material:
    """Brickwork with light mortar.

    Home section: *The phenomenon*.
    """
    hue = draws.uniform(0.0, 0.08)
    return Material(
        base=linear_colour(hue, draws.uniform(0.35, 0.6), draws.uniform(0.55, 0.75)),
        accent=linear_colour(hue, 0.1, 0.8),
        pattern=Pattern.BRICKS,
        period=(draws.uniform(0.4, 0.5), draws.uniform(0.16, 0.2)),
        offset=_anywhere(draws),
        contrast=0.7,
        joint=0.015,
        tint=0.3,
    )


def tiles(draws: Draws) -> Material:
    """A chequered floor.

    Home section: *The phenomenon*.
    """
    hue = draws.uniform(0.0, 1.0)
    side = draws.uniform(0.45, 0.7)
    return Material(
        base=linear_colour(hue, draws.uniform(0.05, 0.2), 0.8),
        accent=linear_colour(hue, draws.uniform(0.2, 0.5), draws.uniform(0.35, 0.5)),
        pattern=Pattern.CHECKER,
        period=(2 * side, 2 * side),
        offset=_anywhere(draws),
        contrast=0.6,
    )


def planks(draws: Draws) -> Material:
    """Floor boards with dark joints and a grain along x.

    Home section: *The phenomenon*.
    """
    hue, value = draws.uniform(0.05, 0.11), draws.uniform(0.5, 0.75)
    return Material(
        base=linear_colour(hue, draws.uniform(0.4, 0.6), value),
        accent=linear_colour(hue, 0.6, 0.4 * value),
        pattern=Pattern.BRICKS,
        period=(draws.uniform(1.4, 2.0), draws.uniform(0.18, 0.26)),
        offset=_anywhere(draws),
        stretch=(0.25, 1.0, 1.0),
        contrast=0.8,
        joint=0.012,
        tint=0.3,
    )


def wood(draws: Draws) -> Material:
    """Furniture wood with an upright grain.

    Home section: *The phenomenon*.
    """
    hue, value = draws.uniform(0.04, 0.1), draws.uniform(0.35, 0.7)
    return Material(
        base=linear_colour(hue, draws.uniform(0.4, 0.7), value),
        accent=linear_colour(hue, 0.6, 0.7 * value),
        pattern=Pattern.MOTTLED,
        offset=_anywhere(draws),
        stretch=(1.0, 0.2, 1.0),
        contrast=0.8,
    )


def lacquer(draws: Draws) -> Material:
    """Two bright colours for a block.

    Home section: *The phenomenon*.
    """
    return _two_colours(draws, (Pattern.MOTTLED, Pattern.STRIPES, Pattern.CHECKER))


def rubber(draws: Draws) -> Material:
    """Two bright colours for a ball, on which squares would be pinched at the poles.

    Home section: *The phenomenon*.
    """
    return _two_colours(draws, (Pattern.MOTTLED, Pattern.STRIPES))


def _two_colours(draws: Draws, patterns: tuple[Pattern, ...]) -> Material:
    hue = draws.uniform(0.0, 1.0)
    return Material(
        base=linear_colour(hue, draws.uniform(0.4, 0.75), draws.uniform(0.6, 0.95)),
        accent=linear_colour(hue + draws.uniform(0.1, 0.5), draws.uniform(0.2, 0.6), 0.85),
        pattern=draws.choice(patterns),
        period=(draws.uniform(0.2, 0.35), draws.uniform(0.2, 0.35)),
        offset=_anywhere(draws),
        stretch=(3.0, 3.0, 3.0),
        contrast=0.5,
    )


def _anywhere(draws: Draws) -> tuple[float, float, float]:
    """A place in the solid noise, so that no two surfaces show the same part of it."""
    return draws.uniform(0.0, 500.0), draws.uniform(0.0, 500.0), draws.uniform(0.0, 500.0)
