"""Who sees what: the symmetries of the aggregator, each in float64."""

import torch

from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import rotary_table, rotate
from tolerances import FLOAT64_NETWORK


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=FLOAT64_NETWORK)


def test_permuting_the_later_frames_permutes_the_output(small_aggregator, images):
    aggregator, scene = small_aggregator(), images(1, 5)
    order = [0, 3, 1, 4, 2]
    plain, permuted = aggregator(scene), aggregator(scene[:, order])
    for layer in plain.layers:
        close(permuted.layers[layer], plain.layers[layer][:, order])


def test_the_first_frame_is_special(small_aggregator, images):
    aggregator, scene = small_aggregator(), images(1, 3)
    plain, swapped = aggregator(scene), aggregator(scene[:, [1, 0, 2]])
    difference = swapped.layers[0] - plain.layers[0][:, [1, 0, 2]]
    assert difference[:, :2].abs().amax(dim=(-1, -2)).min() > 1e-3


def test_equal_images_differ_only_between_the_first_frame_and_the_rest(small_aggregator, images):
    same = images(1, 1).expand(-1, 3, -1, -1, -1)
    stream = small_aggregator()(same).layers[1]
    close(stream[:, 1], stream[:, 2])
    assert (stream[:, 0] - stream[:, 1]).abs().max() > 1e-3


def test_a_frame_block_sees_only_its_own_frame(small_aggregator, images, observed):
    aggregator, scene = small_aggregator(), images(1, 3)
    changed = scene.clone()
    changed[:, 2] = 1 - changed[:, 2]
    before, after = (observed(aggregator, pixels)[1] for pixels in (scene, changed))
    assert torch.equal(before["frame.00.output"][:2], after["frame.00.output"][:2])
    assert (before["frame.00.output"][2] - after["frame.00.output"][2]).abs().max() > 1e-3
    reach = (before["global.00.output"] - after["global.00.output"]).abs().amax(dim=-1)
    assert reach.min() > 0


def test_two_scenes_in_one_call_equal_two_calls(small_aggregator, images):
    aggregator, scenes = small_aggregator(), images(2, 3)
    together = aggregator(scenes).layers[1]
    apart = [aggregator(scene[None]).layers[1] for scene in scenes]
    close(together, torch.cat(apart))


def test_positions_repeat_from_frame_to_frame(small_aggregator, images, observed):
    # The same image and equal special tokens: if the frame number entered a position, the queries
    # of the three frames would differ.
    aggregator = small_aggregator()
    for token in (aggregator.camera_token, aggregator.register_token):
        token.data[:, 0] = token.data[:, 1]
    _, seen = observed(aggregator, images(1, 1).expand(-1, 3, -1, -1, -1))
    query = seen["global.00.attention.query"].unflatten(2, (3, 11))
    close(query[:, :, 1], query[:, :, 0])
    close(query[:, :, 2], query[:, :, 0])
    assert (query[:, :, 0, 5] - query[:, :, 0, 6]).abs().max() > 1e-3


def test_specials_are_not_rotated_and_patches_are(small_aggregator, images, observed):
    placed, unplaced = (small_aggregator(rotary_base=base) for base in (30.0, None))
    unplaced.load_state_dict(placed.state_dict())
    scene = images(1, 1)
    layout = TokenLayout(frames=1, rows=2, columns=3)
    positions = torch.from_numpy(layout.positions())
    table = rotary_table(positions, dim=8, base=30.0, dtype=torch.float64)
    name = "frame.00.attention.query"
    bare, turned = observed(unplaced, scene)[1][name], observed(placed, scene)[1][name]
    close(turned, rotate(bare, table))
    assert torch.equal(turned[:, :, :5], bare[:, :, :5])
    assert not torch.isclose(turned[:, :, 5:], bare[:, :, 5:]).all(dim=-1).any()
