import pytest
import torch
import torch.nn.functional as F

from attention_collapse.vggt import dense_fusion
from attention_collapse.vggt.dense_fusion import FeatureFusion, FusionBlock, ResidualUnit, resize
from tolerances import FLOAT64, FLOAT64_NETWORK

FEATURES = 4


@pytest.fixture
def maps(generator):
    def draw(rows: int, columns: int, channels: int = FEATURES) -> torch.Tensor:
        shape = (2, channels, rows, columns)
        return torch.randn(shape, dtype=torch.float64, generator=generator)

    return draw


def test_the_residual_is_rectified_and_the_input_left_alone(generator, stirred, maps):
    unit = stirred(ResidualUnit(FEATURES, generator=generator))
    x = maps(3, 5)
    before = x.clone()
    found = unit(x)
    assert torch.equal(x, before)
    positive = torch.where(x > 0, x, 0)
    first = F.conv2d(positive, unit.conv1.weight, unit.conv1.bias, padding=1)
    second = F.conv2d(torch.where(first > 0, first, 0), unit.conv2.weight, padding=1)
    expected = positive + second + unit.conv2.bias[:, None, None]
    torch.testing.assert_close(found, expected, rtol=0, atol=FLOAT64_NETWORK)
    # With no correction at all, what comes through is the rectified input.
    for parameter in unit.parameters():
        parameter.data.zero_()
    assert torch.equal(unit(x), positive)


def test_resize_is_linear_between_corner_centres():
    row, column = torch.meshgrid(
        torch.linspace(0, 1, 3, dtype=torch.float64),
        torch.linspace(0, 1, 4, dtype=torch.float64),
        indexing="ij",
    )
    ramp = (2 * row - 3 * column)[None, None]
    fine_row, fine_column = torch.meshgrid(
        torch.linspace(0, 1, 6, dtype=torch.float64),
        torch.linspace(0, 1, 5, dtype=torch.float64),
        indexing="ij",
    )
    expected = (2 * fine_row - 3 * fine_column)[None, None]
    torch.testing.assert_close(resize(ramp, (6, 5)), expected, rtol=0, atol=FLOAT64)


@pytest.mark.parametrize("limit", [1, 250, 500])
def test_a_large_resize_runs_a_few_images_at_a_time(generator, monkeypatch, limit):
    maps = torch.randn(5, 2, 3, 4, generator=generator)
    whole = resize(maps, (10, 12))
    sizes = []
    interpolate = F.interpolate

    def record(part, **options):
        sizes.append(len(part))
        return interpolate(part, **options)

    monkeypatch.setattr(dense_fusion, "RESIZE_LIMIT", limit)
    monkeypatch.setattr(dense_fusion.F, "interpolate", record)
    assert torch.equal(resize(maps, (10, 12)), whole)
    # One image has 2 x 10 x 12 = 240 numbers.
    assert sizes == {1: [1] * 5, 250: [1] * 5, 500: [2, 2, 1]}[limit]


def test_a_fusion_step_adds_refines_enlarges_and_mixes(generator, stirred, maps):
    block = stirred(FusionBlock(FEATURES, generator=generator))
    coarse, fine = maps(2, 3), maps(2, 3)
    fused = block.resConfUnit2(coarse + block.resConfUnit1(fine))
    mixed = torch.einsum("oi,nihw->nohw", block.out_conv.weight[..., 0, 0], resize(fused, (4, 5)))
    expected = mixed + block.out_conv.bias[:, None, None]
    found = block(coarse, fine, size=(4, 5))
    torch.testing.assert_close(found, expected, rtol=0, atol=FLOAT64_NETWORK)


def test_the_coarsest_step_has_one_input(generator, stirred, maps):
    block = stirred(FusionBlock(FEATURES, coarsest=True, generator=generator))
    assert {name.split(".")[0] for name in block.state_dict()} == {"resConfUnit2", "out_conv"}
    coarse = maps(2, 3)
    expected = block.out_conv(resize(block.resConfUnit2(coarse), (4, 5)))
    assert torch.equal(block(coarse, size=(4, 5)), expected)


def test_each_level_sets_the_size_of_the_step_before_it(generator, stirred, maps):
    fusion = stirred(FeatureFusion((3, 5, 6, 7), FEATURES, outputs=2, generator=generator))
    # A patch grid of 3 x 5, whose half is 2 x 3.
    levels = [maps(12, 20, 3), maps(6, 10, 5), maps(3, 5, 6), maps(2, 3, 7)]
    first, second, third, fourth = (
        F.conv2d(level, getattr(fusion, f"layer{number}_rn").weight, padding=1)
        for number, level in enumerate(levels, start=1)
    )
    fused = fusion.refinenet4(fourth, size=(3, 5))
    fused = fusion.refinenet3(fused, third, size=(6, 10))
    fused = fusion.refinenet2(fused, second, size=(12, 20))
    fused = fusion.refinenet1(fused, first, size=(24, 40))
    found = fusion(levels)
    assert found.shape == (2, FEATURES // 2, 24, 40)
    torch.testing.assert_close(found, fusion.output_conv1(fused), rtol=0, atol=FLOAT64_NETWORK)


def test_without_a_readout_all_features_come_through(generator):
    fusion = FeatureFusion((3, 5, 6, 7), FEATURES, outputs=None, generator=generator)
    assert fusion.output_conv1.out_channels == FEATURES
    assert not [name for name in fusion.state_dict() if "output_conv2" in name]


def test_gradient_matches_a_finite_difference(generator, stirred, maps):
    block = stirred(FusionBlock(FEATURES, generator=generator))
    coarse, fine, direction = maps(2, 3), maps(2, 3), maps(2, 3)
    assert torch.autograd.gradcheck(
        lambda step: block(coarse + step * direction, fine - step * direction, size=(3, 4)),
        torch.zeros((), dtype=torch.float64, requires_grad=True),
    )
