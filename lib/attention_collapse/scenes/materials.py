"""Materials: the colour of a surface from its place on the surface and in space."""

import colorsys
import enum
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from attention_collapse.scenes.lookup import rows_at
from attention_collapse.scenes.noise import Lattice, fractal_noise, value_noise

# Linear intensity is a display value to this power.
DISPLAY_GAMMA = 2.2


class Pattern(enum.IntEnum):
    """How base and accent colour share a surface.

    Home section: *The phenomenon*.
    """

    MOTTLED = 0
    STRIPES = 1
    CHECKER = 2
    BRICKS = 3


@dataclass(frozen=True)
class Material:
    """The look of one surface.

    Home section: *The phenomenon*.

    Attributes:
        base: linear red, green and blue in [0, 1].
        accent: second colour of the pattern, likewise.
        pattern: how the two share the surface.
        offset: where the surface lies in the solid noise, in units of length.
        period: repeat of the pattern along and across, in units of length.
        stretch: frequency factor of the noise along x, y, z; unequal factors give a grain.
        contrast: relative amplitude of the noise.
        joint: width of the joints between bricks, in units of length.
        tint: relative amplitude of the brightness of single bricks.
    """

    base: tuple[float, float, float]
    accent: tuple[float, float, float]
    pattern: Pattern
    offset: tuple[float, float, float]
    period: tuple[float, float] = (1.0, 1.0)
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 0.3
    joint: float = 0.0
    tint: float = 0.0


@dataclass(frozen=True)
class Materials:
    """The materials of all surfaces of a world, or of each of many, as tensors.

    Home section: *The phenomenon*.
    """

    base: Float[Tensor, "*world surface 3"]
    accent: Float[Tensor, "*world surface 3"]
    pattern: Int64[Tensor, "*world surface"]
    period: Float[Tensor, "*world surface 2"]
    offset: Float[Tensor, "*world surface 3"]
    stretch: Float[Tensor, "*world surface 3"]
    contrast: Float[Tensor, "*world surface"]
    joint: Float[Tensor, "*world surface"]
    tint: Float[Tensor, "*world surface"]

    @classmethod
    def stack(
        cls, materials: Sequence[Material], *, dtype: torch.dtype, device: torch.device
    ) -> "Materials":
        """Turn materials into tensors, in their order."""

        def column(name: str) -> Tensor:
            rows = [getattr(material, name) for material in materials]
            kind = torch.int64 if name == "pattern" else dtype
            return torch.tensor(rows, dtype=kind, device=device)

        return cls(**{name: column(name) for name in cls.__dataclass_fields__})

    def of(self, surface: Int64[Tensor, "*frame ray"]) -> "Materials":
        """The material each ray meets."""
        frame_axes = self.pattern.ndim - 1
        columns = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return Materials(
            **{
                name: rows_at(column, surface, frame_axes=frame_axes)
                for name, column in columns.items()
            }
        )


def linear_colour(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    """Linear red, green and blue of a display colour given by hue, saturation and value.

    Home section: *The phenomenon*.
    """
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return red**DISPLAY_GAMMA, green**DISPLAY_GAMMA, blue**DISPLAY_GAMMA


def pulse(
    position: Float[Tensor, "*frame ray"],
    *,
    duty: float | Float[Tensor, "*frame ray"],
    width: Float[Tensor, "*frame ray"],
) -> Float[Tensor, "*frame ray"]:
    """Box-filtered pulse train: the part of a window on which the train is 1.

    The train of period 1 is 1 on :math:`[0, d)` and 0 on :math:`[d, 1)`. Its integral is
    :math:`I(x) = d \\lfloor x \\rfloor + \\min(x - \\lfloor x \\rfloor, d)`, and the mean over a
    window of width :math:`w` is :math:`(I(x + w/2) - I(x - w/2)) / w`.
    Home section: *The phenomenon*.

    Args:
        position: centre of the window, in periods.
        duty: :math:`d`, in (0, 1).
        width: :math:`w`, in periods.
    """
    start = position - position.floor()

    def integral(x: Tensor) -> Tensor:
        return duty * x.floor() + (x - x.floor()).clamp(max=duty)

    return (integral(start + width / 2) - integral(start - width / 2)) / width


def albedo(
    material: Materials,
    *,
    points: Float[Tensor, "*frame ray 3"],
    chart: Float[Tensor, "*frame ray 2"],
    footprint: Float[Tensor, "*frame ray"],
    lattice: Lattice,
) -> Float[Tensor, "*frame ray 3"]:
    """Linear colour of the surface at each ray's end, filtered to the pixel's footprint.

    Home section: *The phenomenon*.

    Args:
        material: each ray's material.
        points: places in the object's own axes, for the solid noise.
        chart: places on the surface (along, across), for the pattern.
        footprint: size of a pixel on the surface, in units of length.
        lattice: the random numbers of the noise.
    """
    solid = points * material.stretch + material.offset
    grain = fractal_noise(solid, lattice, footprint=footprint * material.stretch.amax(-1))
    share = _accent_share(material, solid=solid, chart=chart, footprint=footprint, lattice=lattice)
    brightness = (
        1
        + material.contrast * grain
        + material.tint * _brick_tint(material, chart=chart, lattice=lattice)
    )
    return torch.lerp(material.base, material.accent, share[..., None]) * brightness[..., None]


def _accent_share(
    material: Materials, *, solid: Tensor, chart: Tensor, footprint: Tensor, lattice: Lattice
) -> Tensor:
    """Part of each pixel that has the accent colour."""
    along, across = (chart / material.period).unbind(-1)
    wide, high = (footprint[..., None] / material.period).unbind(-1)
    mottled = (0.5 + value_noise(0.7 * solid, lattice)).clamp(0, 1)
    stripes = pulse(along, duty=0.5, width=wide)
    rows = pulse(across, duty=0.5, width=high)
    checker = stripes + rows - 2 * stripes * rows
    length, height = (1 - material.joint[..., None] / material.period).unbind(-1)
    brick = pulse(along + 0.5 * across.floor(), duty=length, width=wide)
    bricks = 1 - brick * pulse(across, duty=height, width=high)
    shares = torch.stack([mottled, stripes, checker, bricks])
    return shares.gather(0, material.pattern[None])[0]


def _brick_tint(material: Materials, *, chart: Tensor, lattice: Lattice) -> Tensor:
    """A number in [-1, 1) for each brick of a surface."""
    along, across = (chart / material.period).unbind(-1)
    row = across.floor()
    column = (along + 0.5 * row).floor()
    return lattice.value(lattice.hash(lattice.hash(row.int()) + column.int()))
