import importlib

import pytest

from attention_collapse.figures.architecture import BOXES, LOOP, draw_architecture

SHAPES = {
    "images": (8, 3, 112, 140),
    "patches": (8, 80, 128),
    "tokens": (8, 85, 128),
    "layer": (8, 85, 256),
    "cameras": (8, 9),
    "depth": (8, 112, 140),
    "points": (8, 112, 140, 3),
}
MODULES = ("aggregator", "camera_head", "dense_head", "patch_encoder")


@pytest.mark.parametrize("function", sorted({*(box.function for box in BOXES), LOOP}))
def test_every_box_names_a_function_that_exists(function):
    kind, method = function.split(".")
    modules = [importlib.import_module(f"attention_collapse.vggt.{name}") for name in MODULES]
    kinds = {vars(module)[kind] for module in modules if kind in vars(module)}
    assert [callable(getattr(found, method)) for found in kinds] == [True]


def test_the_diagram_shows_boxes_shapes_and_depth():
    (axes,) = draw_architecture(SHAPES, depth=24).axes
    texts = [text.get_text() for text in axes.texts]
    assert "24 times" in texts
    for box in BOXES:
        assert box.title in texts
        assert box.function.replace(".", "\n.") in texts
    for name, shape in SHAPES.items():
        assert f"{name}\n" + "×".join(map(str, shape)) in texts


def test_a_missing_shape_is_noticed():
    with pytest.raises(KeyError, match="points"):
        draw_architecture({k: v for k, v in SHAPES.items() if k != "points"}, depth=1)
