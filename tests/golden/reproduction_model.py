"""Lists the names and shapes of our whole network, under the fixture's own names."""

from collections.abc import Callable

import torch
from torch import Tensor

from attention_collapse.vggt.model import TRACK_HEAD, VGGT
from attention_collapse.vggt.model_config import VGGT_1B
from golden.fixture_format import Fixture
from golden.settings_outputs import named_shapes, parameters_by_part

Tensors = dict[str, Tensor]


def full_model(fixture: Fixture, dtype: torch.dtype) -> Tensors:
    """Names and shapes are the same in any type; a network without storage has them."""
    generator = torch.Generator()
    with torch.device("meta"):
        network = VGGT(VGGT_1B, generator=generator)
    shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    left_out = sum(name.startswith(TRACK_HEAD) for name in fixture.settings["shapes"])
    return named_shapes(shapes, parameters_by_part(shapes), len(shapes) + left_out)


REPRODUCTIONS: dict[str, Callable[[Fixture, torch.dtype], Tensors]] = {
    "vggt_full_model_state_dict": full_model,
}
