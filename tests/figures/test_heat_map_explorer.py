"""The still of the heat-map explorer: maps on one scale, the query where it is."""

import matplotlib
import numpy as np

from attention_collapse.figures.heat_map_explorer import draw_heat_maps, heat_maps_png

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.uniform(size=(3, 3, 8, 12))
MAPS = {name: GENERATOR.uniform(size=(3, 2, 4)) * peak
        for name, peak in (("recorded", 0.1), ("predicted", 0.05))}  # fmt: skip


def test_maps_share_a_scale_and_the_query_is_marked_in_both():
    with matplotlib.rc_context():
        figure = draw_heat_maps(IMAGES, MAPS, query=(1, 0, 2), title="layer 1")
    panels = figure.axes
    assert len(panels) == 6
    peak = max(each.max() for each in MAPS.values())
    for index, axes in enumerate(panels):
        name, frame = ("recorded", "predicted")[index // 3], index % 3
        drawn = axes.images[1].get_array()
        np.testing.assert_allclose(drawn, np.sqrt(MAPS[name][frame] / peak))
        assert len(axes.lines) == (frame == 1)
    assert panels[1].lines[0].get_xydata().tolist() == [[7.5, 2.0]]


def test_stills_of_one_and_two_maps_are_reproducible():
    before = dict(matplotlib.rcParams)
    settings = {"query": (0, 0, 0), "title": "layer 1"}
    pictures = [heat_maps_png(IMAGES, MAPS, **settings) for _ in range(2)]
    alone = heat_maps_png(IMAGES, {"recorded": MAPS["recorded"]}, **settings)
    assert pictures[0] == pictures[1] != alone
    assert dict(matplotlib.rcParams) == before
