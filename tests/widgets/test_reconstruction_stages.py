"""Several reconstructions in one viewer."""

import json

import numpy as np
import pytest

from attention_collapse.widgets.camera_frusta import ViewerFrame
from attention_collapse.widgets.reconstruction_stages import Stage, staged_viewer
from attention_collapse.widgets.reconstruction_viewer import STATE_BUDGET
from tolerances import HALF_STEP, quoted
from widgets.viewer_scene import orbit_arrays

ARRAYS = orbit_arrays()
TRUTH = Stage(ARRAYS["true_points"], ARRAYS["true_world_to_camera"])
STAGES = {"exact": TRUTH, "off": Stage(ARRAYS["points"], ARRAYS["world_to_camera"])}


def viewer(start="off", stages=STAGES, images=ARRAYS["images"], truth=TRUTH):
    return staged_viewer(stages, images, ARRAYS["intrinsics"], truth=truth, start=start)


def test_a_button_holds_the_points_and_cameras_of_its_stage():
    made = viewer()
    frame = ViewerFrame.of(TRUTH.points.reshape(-1, 3), TRUTH.world_to_camera)
    assert [preset["name"] for preset in made.presets] == ["exact", "off"]
    for preset in made.presets:
        expected = frame(STAGES[preset["name"]].points.reshape(-1, 3))
        found = made.grid.decode(preset["points"])
        assert np.abs(found - expected).max() <= HALF_STEP * made.grid.step
        rotation, translation = np.split(STAGES[preset["name"]].world_to_camera, [3], axis=2)
        centres = frame(-np.einsum("fji,fjk->fi", rotation, translation))
        corners = np.array(preset["cameras"])
        np.testing.assert_allclose(corners[:, 0], centres, atol=quoted(5))


def test_the_stage_to_start_with_is_shown_and_others_can_be():
    made = viewer("off")
    exact, off = made.presets
    assert (made.points, made.cameras) == (off["points"], off["cameras"])
    assert made.points != made.true_points
    made.points, made.cameras = exact["points"], exact["cameras"]
    assert made.points == made.true_points
    assert made.cameras == made.true_cameras
    assert made.poster().startswith(b"\x89PNG")


def test_more_stages_have_fewer_points_and_the_page_holds_them():
    images = np.zeros((8, 3, 60, 60))
    rng = np.random.default_rng(0)
    cameras = np.repeat(TRUTH.world_to_camera[:1], 8, axis=0)
    stage = Stage(rng.normal(size=(8, 60, 60, 3)), cameras)
    intrinsics = np.repeat(ARRAYS["intrinsics"][:1], 8, axis=0)
    stages = {str(number): stage for number in range(7)}
    many = staged_viewer(stages, images, intrinsics, truth=stage, start="3")
    few = staged_viewer({"0": stage}, images, intrinsics, truth=stage, start="0")
    assert len(many.grid.decode(many.points)) < len(few.grid.decode(few.points))
    state = {k: v for k, v in many.get_state().items() if k not in ("_esm", "_css")}
    assert 0.6 * STATE_BUDGET < len(json.dumps(state)) < STATE_BUDGET


def test_a_stage_that_is_not_there_cannot_be_shown():
    with pytest.raises(ValueError, match="one of the stages exact, off; got 'none': name one"):
        viewer("none")
