"""Orthogonal steps."""

import pytest
import torch
from torch import nn

from attention_collapse.training.muon import MATCHED_SIZE, Muon, orthogonalised
from tolerances import (
    FLOAT32_MUON,
    FLOAT64_NETWORK,
    LARGEST_MUON_VALUE,
    MUON_STEP_SIZE,
    SMALLEST_MUON_VALUE,
)


@pytest.mark.parametrize("shape", [(2, 8, 8), (3, 5, 16), (1, 24, 6)])
def test_singular_values_come_close_to_one_and_vectors_stay(shape: tuple[int, int, int]):
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(shape, generator=generator, dtype=torch.float64)
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    core = u.mT @ orthogonalised(matrices) @ v.mT
    values = core.diagonal(dim1=-2, dim2=-1)
    assert values.min() > SMALLEST_MUON_VALUE
    assert values.max() < LARGEST_MUON_VALUE
    assert (core - torch.diag_embed(values)).abs().max() < FLOAT64_NETWORK


def test_matrices_stepped_together_move_as_they_would_alone():
    def moved(count: int) -> torch.Tensor:
        matrices = [nn.Parameter(torch.full((4, 4), float(k))) for k in range(count)]
        optimiser = Muon(matrices, lr=0.1, weight_decay=0.2)
        for step in range(3):
            for k, matrix in enumerate(matrices):
                generator = torch.Generator().manual_seed(10 * step + k)
                matrix.grad = torch.randn(4, 4, generator=generator)
            optimiser.step()
        return matrices[0].detach()

    assert (moved(1) - moved(3)).abs().max() < FLOAT32_MUON


def test_query_key_and_value_are_made_orthogonal_one_by_one():
    fused = nn.Parameter(torch.zeros(12, 4))
    fused.grad = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    Muon([fused], lr=1.0).step()
    for part in fused.detach().split(4):
        # 0.2 times the root of the side.
        assert torch.linalg.svdvals(part / 0.4).min() > SMALLEST_MUON_VALUE


def test_the_size_of_a_step_matches_adamw():
    matrix = nn.Parameter(torch.zeros(64, 256))
    matrix.grad = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    Muon([matrix], lr=1.0).step()
    assert matrix.detach().square().mean().sqrt().item() == pytest.approx(
        MATCHED_SIZE, rel=MUON_STEP_SIZE
    )
