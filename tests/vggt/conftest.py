import pytest
import torch
from torch import nn

from attention_collapse.vggt import Aggregator, AggregatorConfig

SMALL = {"width": 16, "depth": 2, "heads": 2, "mlp_ratio": 2.0, "patch_size": 2}


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def stirred(generator):
    """Moves every parameter off its first value, in float64, so that a forgotten term shows."""

    def stir(module: nn.Module) -> nn.Module:
        module = module.double()
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
            parameter.data.add_(noise, alpha=0.3)
        return module

    return stir


@pytest.fixture
def small_aggregator(generator, stirred):
    def build(**sizes) -> Aggregator:
        return stirred(Aggregator(AggregatorConfig(**SMALL | sizes), generator=generator))

    return build


@pytest.fixture
def images(generator):
    """Draws scenes of images of 4 x 6 pixels: 2 x 3 patches of side 2."""

    def draw(scenes: int, frames: int) -> torch.Tensor:
        shape = (scenes, frames, 3, 4, 6)
        return torch.rand(shape, dtype=torch.float64, generator=generator)

    return draw


@pytest.fixture
def observed():
    """Runs an aggregator; its output, and every tensor it reports by name."""

    def run(aggregator: Aggregator, images: torch.Tensor):
        seen = {}
        output = aggregator(images, observe=seen.__setitem__)
        return output, seen

    return run
