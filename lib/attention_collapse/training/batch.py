"""A batch: what a step of training reads."""

from collections.abc import Sequence
from dataclasses import dataclass

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

    def tensors(self) -> tuple[Tensor, ...]:
        """The images and the targets."""
        return self.images, *vars(self.targets).values()
