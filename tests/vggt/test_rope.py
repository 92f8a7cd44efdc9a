import math

import pytest
import torch

from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import rotary_table, rotate
from tolerances import FLOAT32_ROTATION, FLOAT64


def table_at(positions, dim=8, dtype=torch.float64):
    return rotary_table(torch.tensor(positions), dim=dim, dtype=dtype)


def as_complex(half):
    """Channel i of a half of the channels and its partner as one complex number."""
    return torch.complex(*half.chunk(2, dim=-1))


def test_rotation_is_a_product_of_complex_numbers(generator):
    positions = torch.randint(0, 40, (5, 2), generator=generator)
    tokens = torch.randn(2, 3, 5, 8, dtype=torch.float64, generator=generator)
    rotated = rotate(tokens, rotary_table(positions, dim=8, base=50.0, dtype=torch.float64))
    frequencies = torch.tensor([1.0, 50.0**-0.5], dtype=torch.float64)
    for axis, half, turned in zip(
        range(2), tokens.chunk(2, dim=-1), rotated.chunk(2, dim=-1), strict=True
    ):
        phase = torch.polar(torch.ones(5, 2).double(), positions[:, axis, None] * frequencies)
        torch.testing.assert_close(
            as_complex(turned), as_complex(half) * phase, rtol=0, atol=10 * FLOAT64
        )


def test_scores_depend_on_the_difference_of_positions_only(generator):
    query, key = torch.randn(2, 1, 8, dtype=torch.float64, generator=generator)

    def score(query_position, key_position):
        return rotate(query, table_at([query_position])) @ rotate(key, table_at([key_position])).T

    near = score([2, 5], [4, 1])
    torch.testing.assert_close(score([12, 25], [14, 21]), near, rtol=0, atol=10 * FLOAT64)
    assert (score([12, 25], [15, 21]) - near).abs() > 1e-3
    assert (score([12, 25], [14, 22]) - near).abs() > 1e-3


def test_rotation_keeps_lengths_and_leaves_the_origin_alone(generator):
    tokens = torch.randn(3, 8, dtype=torch.float64, generator=generator)
    rotated = rotate(tokens, table_at([[0, 0], [7, 0], [3, 11]]))
    torch.testing.assert_close(rotated.norm(dim=-1), tokens.norm(dim=-1), rtol=FLOAT64, atol=0)
    assert torch.equal(rotated[0], tokens[0])
    assert torch.equal(rotated[1, 4:], tokens[1, 4:])
    assert not torch.isclose(rotated[1, :4], tokens[1, :4]).any()


def test_every_frame_reads_the_same_table(generator):
    positions = torch.from_numpy(TokenLayout(1, 2, 3).positions())
    tokens = torch.randn(2, 3 * len(positions), 8, dtype=torch.float64, generator=generator)
    one_frame = rotary_table(positions, dim=8, dtype=torch.float64)
    three_frames = rotary_table(positions.repeat(3, 1), dim=8, dtype=torch.float64)
    assert torch.equal(rotate(tokens, one_frame), rotate(tokens, three_frames))


def test_a_float32_table_is_the_exact_table_rounded_once():
    # At position 1000 an angle rounded to float32 would cost four digits of the cosine.
    angles = [1000, 1000 * 100**-0.5] * 2 + [999, 999 * 100**-0.5] * 2
    table = table_at([[1000, 999]], dtype=torch.float32)
    assert table.cos.tolist() == [torch.tensor([math.cos(angle) for angle in angles]).tolist()]
    assert table.sin.tolist() == [torch.tensor([math.sin(angle) for angle in angles]).tolist()]


def test_tokens_keep_their_type(generator):
    tokens = torch.randn(4, 8, generator=generator).bfloat16()
    positions = [[0, 0], [1, 1], [1, 2], [1, 3]]
    rotated = rotate(tokens, table_at(positions, dtype=torch.float32))
    assert rotated.dtype == torch.bfloat16
    # Rounded once, at the end: no worse than the nearest bfloat16 of the exact result.
    assert torch.equal(rotated, rotate(tokens.double(), table_at(positions)).bfloat16())


def test_float32_rotation_is_close_to_float64(generator):
    positions = torch.randint(0, 40, (64, 2), generator=generator)
    tokens = torch.randn(64, 32, generator=generator)
    exact = rotate(tokens.double(), rotary_table(positions, dim=32, dtype=torch.float64))
    rounded = rotate(tokens, rotary_table(positions, dim=32)).double()
    torch.testing.assert_close(rounded, exact, rtol=0, atol=FLOAT32_ROTATION)


@pytest.mark.parametrize("dim", [0, 2, 6])
def test_a_head_dimension_without_pairs_on_both_axes_is_refused(dim):
    with pytest.raises(ValueError, match=rf"multiple of 4 .* got {dim}; change the width"):
        table_at([[0, 0]], dim=dim)


@pytest.mark.parametrize("base", [0.0, math.inf, math.nan])
def test_a_base_that_is_not_finite_and_positive_is_refused(base):
    with pytest.raises(ValueError, match=f"base must be finite and positive, got {base}; VGGT use"):
        rotary_table(torch.zeros(1, 2, dtype=torch.int64), dim=4, base=base)


@pytest.mark.parametrize("shape", [(3, 8), (4, 4)])
def test_tokens_that_do_not_fit_the_table_are_refused(shape):
    table = table_at([[0, 0], [1, 1]])
    message = r"8 channels and a multiple of 2 tokens .* got shape .*; build the table"
    with pytest.raises(ValueError, match=message):
        rotate(torch.zeros(shape, dtype=torch.float64), table)
