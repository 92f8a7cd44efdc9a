"""Shading for a GPU: compiled stage by stage, always for as many rays in a frame."""

from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from attention_collapse.scenes.casting import Hits
from attention_collapse.scenes.rendering import STAGES, Shade, Shading, Stages, View, shade


def compiled_shade(rays: int) -> Shade:
    """``shade``, compiled for so many rays in a frame.

    A program for any number of rays takes the compiler several times as long.
    Home section: *mini-VGGT*.
    """
    stages = Stages(*(torch.compile(stage, dynamic=False) for stage in STAGES))
    return in_parts(partial(shade, stages=stages), rays)


def in_parts(shader: Shade, rays: int) -> Shade:
    """A shader that is always given so many rays in a frame, whatever the number wanted.

    The last part is filled up with its last ray.
    Home section: *mini-VGGT*.
    """

    def shader_in_parts(view: View, pixels: Float[Tensor, "frame ray 2"]) -> Shading:
        wanted = pixels.shape[1]
        filled = F.pad(pixels.mT, (0, -wanted % rays), mode="replicate").mT
        # A compiler asks for one layout of the numbers too.
        shadings = [shader(view, part.contiguous()) for part in filled.split(rays, dim=1)]
        return _joined(shadings, wanted)

    return shader_in_parts


def _joined(shadings: list[Shading], wanted: int) -> Shading:
    if len(shadings) == 1 and shadings[0].bright.shape[1] == wanted:
        return shadings[0]

    def join(parts: list[Tensor]) -> Tensor:
        return torch.cat(parts, dim=1)[:, :wanted]

    hits = (
        join([getattr(shading.hits, name) for shading in shadings])
        for name in Hits.__dataclass_fields__
    )
    bright, colour = (
        join([getattr(shading, name) for shading in shadings]) for name in ("bright", "colour")
    )
    return Shading(Hits(*hits), bright, colour)
