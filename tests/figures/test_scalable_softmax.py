"""The figure of networks trained with plain and with scalable softmax."""

import matplotlib
import numpy as np
import pytest

from attention_collapse.figures.scalable_softmax import COMPARED, draw_scalable_softmax

FRAMES = np.array([8, 64, 2048])
SCENES = 4


@pytest.fixture(autouse=True)
def own_parameters():
    with matplotlib.rc_context():
        yield


def study(*treatments, seed=0, networks=1):
    rng = np.random.default_rng(seed)
    shape = (networks, SCENES, len(treatments), len(FRAMES))
    arrays = {name: 0.1 + rng.random(shape) for name in COMPARED}
    arrays |= {"weights": np.arange(networks), "treatments": np.array(treatments)}
    return arrays | {"frames": FRAMES}


PLAIN, SCALABLE = study("none", "bias"), study("none", "bias", "held", seed=1)


def test_every_softmax_and_treatment_has_a_line():
    figure = draw_scalable_softmax(PLAIN, SCALABLE)
    for axes, quantity in zip(figure.axes, COMPARED, strict=True):
        assert [container.get_label() for container in axes.containers] == [
            "plain softmax, as trained",
            "plain softmax, reference bias",
            "scalable softmax, as trained",
            "scalable softmax, reference bias",
            "scalable softmax, scores held at those of training",
        ]
        found = [container[0].get_ydata() for container in axes.containers]
        expected = [arrays[quantity][0].mean(0) for arrays in (PLAIN, SCALABLE)]
        np.testing.assert_allclose(found, np.concatenate(expected))
    bars = figure.axes[0].containers[4][2][0].get_segments()
    expected = SCALABLE["points"][0, :, 2].std(0, ddof=1) / SCENES**0.5
    np.testing.assert_allclose([np.ptp(each[:, 1]) / 2 for each in bars], expected)


def test_softmaxes_differ_in_colour_and_treatments_in_dashes():
    lines = [each[0] for each in draw_scalable_softmax(PLAIN, SCALABLE).axes[0].containers]
    colours, dashes = ([getattr(line, f"get_{k}")() for line in lines] for k in ("c", "ls"))
    assert colours[0] == colours[1] != colours[2] == colours[3] == colours[4]
    assert dashes[:2] == dashes[2:4]
    assert len(set(dashes[2:])) == 3


@pytest.mark.parametrize("record", [study("none", "length"), study("none", networks=2)])
def test_other_records_are_refused(record):
    with pytest.raises(ValueError, match="one network and treatments among none, bias, held"):
        draw_scalable_softmax(PLAIN, record)
