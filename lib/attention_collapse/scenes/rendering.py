"""Pictures of a world: shading and anti-aliasing of one frame."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attention_collapse.scenes.cameras import camera_centre, pixel_centres, unproject
from attention_collapse.scenes.casting import Hits, cast, lit
from attention_collapse.scenes.materials import DISPLAY_GAMMA, albedo
from attention_collapse.scenes.world import Light, World

# Sub-pixel samples, in pixels from the centre, of pixels in which surfaces or shadows meet: a
# rotated 2 x 2 grid, so that upright and level edges pass four different offsets.
SAMPLES = ((-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375))

# Neighbouring pixels whose unit normals differ by more than this lie on two faces.
CREASE = 0.3


@dataclass(frozen=True)
class Frame:
    """One rendered view.

    Home section: *The phenomenon*.

    Attributes:
        image: display red, green and blue in [0, 1].
        depth: z-depth at the pixel centres, in units of length.
        points: world points at the pixel centres.
    """

    image: Float[Tensor, "3 height width"]
    depth: Float[Tensor, "height width"]
    points: Float[Tensor, "height width 3"]


def render(
    world: World,
    *,
    world_to_camera: Float[Tensor, "3 4"],
    intrinsics: Float[Tensor, "3 3"],
    image_size: tuple[int, int],
) -> Frame:
    """View of a world from one camera, by casting a ray through each pixel centre.

    The noise of the materials is filtered to the pixel. Pixels in which surfaces or shadows meet
    take the mean of four samples instead.
    Home section: *The phenomenon*.

    Args:
        world: what there is to see, on the device to render on.
        world_to_camera: the camera, inside the room and outside the solids.
        intrinsics: of the camera.
        image_size: height and width in pixels.
    """
    view = _View(world, world_to_camera, intrinsics)
    centres = pixel_centres(image_size, dtype=intrinsics.dtype, device=intrinsics.device)
    pixels = centres.reshape(-1, 2)
    hits = view.cast(pixels)
    bright = lit(world, hits)
    colour = view.colour(hits, bright)
    mixed = _edges(hits, bright, image_size).nonzero()[:, 0]
    colour[mixed] = view.mean_colour(pixels[mixed])
    image = colour.clamp(0, 1).pow(1 / DISPLAY_GAMMA).T.reshape(3, *image_size)
    return Frame(image, hits.depth.view(image_size), hits.points.view(*image_size, 3))


@dataclass(frozen=True)
class _View:
    """A world and the camera that looks at it."""

    world: World
    world_to_camera: Float[Tensor, "3 4"]
    intrinsics: Float[Tensor, "3 3"]

    def cast(self, pixels: Float[Tensor, "ray 2"]) -> Hits:
        directions = unproject(
            pixels, world_to_camera=self.world_to_camera, intrinsics=self.intrinsics
        )
        return cast(self.world, camera_centre(self.world_to_camera), directions)

    def colour(self, hits: Hits, bright: Bool[Tensor, "ray"]) -> Float[Tensor, "ray 3"]:
        """Linear colour; the light reaches bright hits only."""
        paint = albedo(
            self.world.materials.of(hits.surface),
            points=hits.local,
            chart=hits.chart,
            footprint=self._footprint(hits),
            lattice=self.world.lattice,
        )
        return paint * irradiance(self.world.light, hits, bright)[:, None]

    def mean_colour(self, pixels: Float[Tensor, "ray 2"]) -> Float[Tensor, "ray 3"]:
        """Linear colour averaged over the samples of each pixel."""
        samples = (pixels + pixels.new_tensor(SAMPLES)[:, None]).reshape(-1, 2)
        hits = self.cast(samples)
        colour = self.colour(hits, lit(self.world, hits)).clamp(0, 1)
        return colour.view(len(SAMPLES), -1, 3).mean(0)

    def _footprint(self, hits: Hits) -> Float[Tensor, "ray"]:
        """Size of a pixel on the surface: the geometric mean of its width and its length."""
        sight = hits.points - camera_centre(self.world_to_camera)
        slant = (hits.normal * sight).sum(-1).abs() / sight.norm(dim=-1)
        return hits.depth / self.intrinsics[0, 0] / slant.clamp(min=0.05).sqrt()


def irradiance(light: Light, hits: Hits, bright: Bool[Tensor, "ray"]) -> Float[Tensor, "ray"]:
    """Ambient light plus Lambert's law: proportional to the cosine between normal and light.

    Home section: *The phenomenon*.
    """
    position = hits.points.new_tensor(light.position)
    to_light = position.expand_as(hits.points) if light.is_sun else position - hits.points
    distance = to_light.norm(dim=-1)
    cosine = (hits.normal * to_light).sum(-1).clamp(min=0) / distance
    falloff = light.strength / (1 + (distance / light.reach).square())
    return light.ambient + falloff * cosine * bright


def _edges(
    hits: Hits, bright: Bool[Tensor, "ray"], image_size: tuple[int, int]
) -> Bool[Tensor, "ray"]:
    """Pixels with another surface, face or shadow next to them."""
    features = torch.cat([hits.normal, hits.surface[:, None], bright[:, None]], dim=1)
    grid = features.view(*image_size, -1)
    edges = torch.zeros(image_size, dtype=torch.bool, device=grid.device)
    for axis in (0, 1):
        change = (grid.diff(dim=axis).abs() > CREASE).any(-1)
        near, far = (edges.narrow(axis, start, change.shape[axis]) for start in (0, 1))
        near |= change
        far |= change
    return edges.flatten()
