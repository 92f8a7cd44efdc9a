import torch

from attention_collapse.measure.streaming.directions import Directions
from streaming_cases import normal
from tolerances import FLOAT64, GRAM_ROUNDING


def test_blocks_are_orthonormal_and_the_coefficients_give_the_columns_back():
    directions = Directions()
    # Columns whose sizes span six decades.
    blocks = [normal(90, 6, seed=seed) * 10.0 ** -torch.arange(6).double() for seed in range(3)]
    for columns in blocks:
        coefficients = directions.extend(columns)
        basis = torch.cat(directions.blocks, dim=1)
        torch.testing.assert_close(basis @ coefficients, columns, rtol=0, atol=FLOAT64)
    identity = torch.eye(18, dtype=torch.float64)
    torch.testing.assert_close(basis.mT @ basis, identity, rtol=0, atol=FLOAT64)


def test_directions_that_columns_do_not_have_are_zero():
    column = normal(50, 1)
    directions = Directions()
    coefficients = directions.extend(torch.cat((column, 2 * column), dim=1))
    norms = directions.blocks[0].norm(dim=0)
    torch.testing.assert_close(
        norms, torch.tensor([0.0, 1.0], dtype=torch.float64), rtol=0, atol=FLOAT64
    )
    torch.testing.assert_close(
        directions.blocks[0] @ coefficients[:, :1], column, rtol=0, atol=GRAM_ROUNDING
    )
