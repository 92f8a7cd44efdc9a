"""Pictures of worlds: shading and anti-aliasing of one frame or of many at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attention_collapse.scenes.cameras import camera_centre, pixel_centres, unproject
from attention_collapse.scenes.casting import Hits, cast, lit
from attention_collapse.scenes.materials import DISPLAY_GAMMA, Materials, albedo
from attention_collapse.scenes.world import Lights, World

# Sub-pixel samples, in pixels from the centre, of pixels in which surfaces or shadows meet: a
# rotated 2 x 2 grid, so that upright and level edges pass four different offsets.
SAMPLES = ((-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375))

# Neighbouring pixels whose unit normals differ by more than this lie on two faces.
CREASE = 0.3


@dataclass(frozen=True)
class Frame:
    """One rendered view, or many.

    Home section: *The phenomenon*.

    Attributes:
        image: display red, green and blue in [0, 1].
        depth: z-depth at the pixel centres, in units of length.
        points: world points at the pixel centres.
    """

    image: Float[Tensor, "*frame 3 height width"]
    depth: Float[Tensor, "*frame height width"]
    points: Float[Tensor, "*frame height width 3"]


@dataclass(frozen=True)
class View:
    """A world and the camera that looks at it, or one of each for every frame.

    Home section: *mini-VGGT*.
    """

    world: World
    world_to_camera: Float[Tensor, "*frame 3 4"]
    intrinsics: Float[Tensor, "3 3"]


@dataclass(frozen=True)
class Shading:
    """What rays meet and what they look like.

    Home section: *mini-VGGT*.

    Attributes:
        hits: where the rays end.
        bright: whether the light reaches the hit.
        colour: linear red, green and blue.
    """

    hits: Hits
    bright: Bool[Tensor, "*frame ray"]
    colour: Float[Tensor, "*frame ray 3"]


Shade = Callable[[View, Tensor], Shading]


def footprint(
    hits: Hits, centre: Float[Tensor, "*frame 3"], *, focal: Float[Tensor, ""]
) -> Float[Tensor, "*frame ray"]:
    """Size of a pixel on the surface: the geometric mean of its width and its length.

    Home section: *mini-VGGT*.
    """
    sight = hits.points - centre[..., None, :]
    slant = (hits.normal * sight).sum(-1).abs() / sight.norm(dim=-1)
    return hits.depth / focal / slant.clamp(min=0.05).sqrt()


def irradiance(
    light: Lights, hits: Hits, bright: Bool[Tensor, "*frame ray"]
) -> Float[Tensor, "*frame ray"]:
    """Ambient light plus Lambert's law: proportional to the cosine between normal and light.

    Home section: *The phenomenon*.
    """
    position = light.position[..., None, :]
    to_light = position.expand_as(hits.points) if light.is_sun else position - hits.points
    distance = to_light.norm(dim=-1)
    cosine = (hits.normal * to_light).sum(-1).clamp(min=0) / distance
    falloff = light.strength[..., None] / (1 + (distance / light.reach[..., None]).square())
    return light.ambient[..., None] + falloff * cosine * bright


class Stages(NamedTuple):
    """The stages of shading: hundreds of short operations, which a compiler joins to a few.

    It takes several times as long over all stages at once as over one after the other.
    Home section: *mini-VGGT*.
    """

    unproject: Callable[..., Tensor] = unproject
    cast: Callable[..., Hits] = cast
    lit: Callable[..., Tensor] = lit
    material: Callable[..., Materials] = Materials.of
    footprint: Callable[..., Tensor] = footprint
    albedo: Callable[..., Tensor] = albedo
    irradiance: Callable[..., Tensor] = irradiance


STAGES = Stages()


def shade(view: View, pixels: Float[Tensor, "*frame ray 2"], *, stages: Stages = STAGES) -> Shading:
    """Cast a ray through each pixel of a view and colour what it meets.

    Home section: *mini-VGGT*.

    Args:
        view: what there is to see, and from where.
        pixels: places in the image of each frame.
        stages: ``STAGES``, or what a compiler made of them.
    """
    world, camera = view.world, view.world_to_camera
    centre = camera_centre(camera)
    directions = stages.unproject(pixels, world_to_camera=camera, intrinsics=view.intrinsics)
    hits = stages.cast(world, centre, directions)
    bright = stages.lit(world, hits)
    paint = stages.albedo(
        stages.material(world.materials, hits.surface),
        points=hits.local,
        chart=hits.chart,
        footprint=stages.footprint(hits, centre, focal=view.intrinsics[0, 0]),
        lattice=world.lattice,
    )
    light = stages.irradiance(world.light, hits, bright)
    return Shading(hits, bright, paint * light[..., None])


def render(
    world: World,
    *,
    world_to_camera: Float[Tensor, "*frame 3 4"],
    intrinsics: Float[Tensor, "3 3"],
    image_size: tuple[int, int],
    shader: Shade = shade,
) -> Frame:
    """View of a world from a camera, by casting a ray through each pixel centre.

    The noise of the materials is filtered to the pixel. Pixels in which surfaces or shadows meet
    take the mean of four samples instead. Worlds and cameras with an axis of frames are rendered
    all at once, each frame with the pixels that it would have alone.
    Home section: *The phenomenon*.

    Args:
        world: what there is to see, on the device to render on; or the world of each frame.
        world_to_camera: the camera of each frame, inside the room and outside the solids.
        intrinsics: of all cameras.
        image_size: height and width in pixels.
        shader: ``shade``, or what a compiler made of it.
    """
    view = View(world, world_to_camera, intrinsics)
    centres = pixel_centres(image_size, dtype=intrinsics.dtype, device=intrinsics.device)
    pixels = centres.reshape(-1, 2)
    everywhere = pixels.expand(*world_to_camera.shape[:-2], -1, -1)
    shading = shader(view, everywhere)
    hits, edges = shading.hits, _edges(shading, image_size)
    colour = _resample(shading.colour, edges, view, pixels, shader)
    image = colour.clamp(0, 1).pow(1 / DISPLAY_GAMMA).mT.unflatten(-1, image_size)
    depth, points = hits.depth.unflatten(-1, image_size), hits.points.unflatten(-2, image_size)
    return Frame(image.contiguous(), depth, points)


def _edges(shading: Shading, image_size: tuple[int, int]) -> Bool[Tensor, "*frame ray"]:
    """Pixels with another surface, face or shadow next to them."""
    marks = (shading.hits.surface[..., None], shading.bright[..., None])
    grid = torch.cat([shading.hits.normal, *marks], dim=-1).unflatten(-2, image_size)
    edges = torch.zeros(grid.shape[:-1], dtype=torch.bool, device=grid.device)
    for axis in (-2, -1):
        change = (grid.diff(dim=axis - 1).abs() > CREASE).any(-1)
        near, far = (edges.narrow(axis, start, change.shape[axis]) for start in (0, 1))
        near |= change
        far |= change
    return edges.flatten(-2)


def _resample(
    colour: Float[Tensor, "*frame ray 3"],
    edges: Bool[Tensor, "*frame ray"],
    view: View,
    pixels: Float[Tensor, "ray 2"],
    shader: Shade,
) -> Float[Tensor, "*frame ray 3"]:
    """The colours with those of edge pixels averaged over samples, as many in every frame."""
    count = int(edges.sum(-1).max())
    # The edge pixels of a frame come first, in their order; others fill the shorter frames up.
    chosen = edges.byte().argsort(dim=-1, descending=True, stable=True)[..., :count]
    offsets = pixels.new_tensor(SAMPLES)[:, None]
    samples = (pixels[chosen].unsqueeze(-3) + offsets).flatten(-3, -2)
    seen = shader(view, samples).colour.clamp(0, 1)
    mean = seen.unflatten(-2, (len(SAMPLES), -1)).mean(-3)
    place = chosen[..., None].expand_as(mean)
    on_edge = edges.gather(-1, chosen)[..., None]
    return colour.scatter(-2, place, torch.where(on_edge, mean, colour.gather(-2, place)))
