"""The figure of networks trained on different numbers of frames."""

import matplotlib
import numpy as np
import pytest

from attention_collapse.figures.training_ranges import COMPARED, draw_training_ranges

FRAMES = np.array([8, 64, 512])
SCENES = 4


@pytest.fixture(autouse=True)
def own_parameters():
    with matplotlib.rc_context():
        yield


def study(networks, frames=FRAMES, seed=0):
    rng = np.random.default_rng(seed)
    arrays = {name: 0.1 + rng.random((networks, SCENES, 2, len(frames))) for name in COMPARED}
    arrays |= {"weights": np.arange(networks), "treatments": np.array(["none", "bias"])}
    return arrays | {"frames": frames}


def test_every_network_and_treatment_has_a_line_and_every_network_its_frames_of_training():
    arrays = study(2)
    figure = draw_training_ranges(arrays, (8, 24))
    for axes, quantity in zip(figure.axes, COMPARED, strict=True):
        assert [container.get_label() for container in axes.containers] == [
            "trained on 2 to 8 frames, as trained",
            "trained on 2 to 8 frames, reference bias",
            "trained on 2 to 24 frames, as trained",
            "trained on 2 to 24 frames, reference bias",
        ]
        found = [container[0].get_ydata() for container in axes.containers]
        np.testing.assert_allclose(found, arrays[quantity].mean(1).reshape(4, 3))
        ends = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 2]
        assert ends == [8, 24]
    bars = figure.axes[0].containers[2][2][0].get_segments()
    expected = arrays["points"][1, :, 0].std(0, ddof=1) / SCENES**0.5
    np.testing.assert_allclose([np.ptp(each[:, 1]) / 2 for each in bars], expected)


def test_networks_differ_in_colour_and_treatments_in_dashes():
    lines = [each[0] for each in draw_training_ranges(study(2), (8, 24)).axes[0].containers]
    colours, dashes = ([getattr(line, f"get_{k}")() for line in lines] for k in ("c", "ls"))
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert dashes[0] == dashes[2] != dashes[1] == dashes[3]


def test_other_seeds_are_thin_lines_as_trained_to_the_same_frames():
    seeds = study(3, frames=np.array([8, 64, 512, 2048]), seed=1)
    axes = draw_training_ranges(study(2), (8, 24), seeds=seeds).axes[COMPARED.index("rotation")]
    thin = [line for line in axes.lines if line.get_linewidth() < 0.7]
    assert all((line.get_xdata() == FRAMES).all() for line in thin)
    expected = seeds["rotation"][1:, :, 0, :3].mean(1)
    np.testing.assert_allclose([line.get_ydata() for line in thin], expected)
    assert {line.get_color() for line in thin} == {axes.containers[0][0].get_color()}


@pytest.mark.parametrize(("networks", "trained"), [(2, (8,)), (4, (2, 4, 8, 24))])
def test_each_network_needs_its_frames_of_training(networks, trained):
    with pytest.raises(ValueError, match="one number for each of at most three networks"):
        draw_training_ranges(study(networks), trained)
