"""A batch: what a step of training reads."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.training.targets import Targets


@dataclass(frozen=True)
class Batch:
    """Scenes of one number of frames, and what a network should say about them.

    Home section: *mini-VGGT*.
    """

    images: Float[Tensor, "scene frame 3 height width"]
    targets: Targets

    @classmethod
    def of(cls, tensors: Sequence[Tensor]) -> "Batch":
        """The batch of these tensors, which are ordered as in ``tensors``."""
        return cls(tensors[0], Targets(*tensors[1:]))

    @classmethod
    def random(
        cls, scenes: int, frames: int, image_size: tuple[int, int], *, device: torch.device | str
    ) -> "Batch":
        """A batch of noise, in the shapes of one that was rendered, all numbers in [0.5, 1)."""
        pixels = (scenes, frames, *image_size)
        shapes = ((scenes, frames, 3, *image_size), (scenes, frames, 9), pixels, (*pixels, 3))
        images, *targets = (0.5 + torch.rand(shape, device=device) / 2 for shape in shapes)
        return cls(images, Targets(*targets))

    def tensors(self) -> tuple[Tensor, ...]:
        """The images and the targets."""
        return self.images, *vars(self.targets).values()
