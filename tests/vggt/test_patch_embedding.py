import pytest
import torch

from attention_collapse.vggt import PatchEmbedding
from tolerances import FLOAT64_NETWORK


def test_each_patch_is_one_linear_map_of_its_own_pixels(generator, stirred):
    embed = stirred(PatchEmbedding(8, patch_size=2, generator=generator))
    images = torch.rand(2, 3, 4, 6, dtype=torch.float64, generator=generator)
    tokens = embed(images)
    assert tokens.shape == (2, 6, 8)
    weight = embed.proj.weight.flatten(1)
    for row in range(2):
        for column in range(3):
            patch = images[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].flatten(1)
            expected = patch @ weight.T + embed.proj.bias
            torch.testing.assert_close(
                tokens[:, 3 * row + column], expected, rtol=0, atol=FLOAT64_NETWORK
            )


def test_state_names_are_those_of_vggt(generator):
    embed = PatchEmbedding(8, patch_size=14, generator=generator)
    assert {name: tuple(value.shape) for name, value in embed.state_dict().items()} == {
        "proj.weight": (8, 3, 14, 14),
        "proj.bias": (8,),
    }


@pytest.mark.parametrize(("height", "width"), [(5, 6), (4, 7), (0, 6)])
def test_sides_that_would_lose_pixels_are_refused(generator, height, width):
    embed = PatchEmbedding(8, patch_size=2, generator=generator)
    message = f"multiples of the patch size 2, got height {height} and width {width}; resize or"
    with pytest.raises(ValueError, match=message):
        embed(torch.zeros(1, 3, height, width))
