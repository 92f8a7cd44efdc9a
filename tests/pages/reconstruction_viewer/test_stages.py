"""Buttons that exchange one reconstruction for another."""

from attention_collapse.widgets.reconstruction_stages import Stage, staged_viewer
from attention_collapse.widgets.reconstruction_viewer import ReconstructionViewer
from pages.widget_page import WidgetPage
from widgets.viewer_scene import orbit_arrays


def test_a_button_shows_its_stage_and_its_error(open_widget):
    arrays = orbit_arrays()
    truth = Stage(arrays["true_points"], arrays["true_world_to_camera"])
    stages = {"off": Stage(arrays["points"], arrays["world_to_camera"]), "exact": truth}
    pair = arrays["images"], arrays["intrinsics"]
    state = staged_viewer(stages, *pair, truth=truth, start="off").get_state()
    viewer = WidgetPage(open_widget(state), ReconstructionViewer._esm, {})
    canvas, pictures = viewer.page.locator('[data-panel="predicted"] canvas'), {}
    for name in ("exact", "off"):
        viewer.button(name).click()
        viewer.settle()
        assert viewer.button(name).get_attribute("aria-pressed") == "true"
        assert (viewer.numbers()["errors"]["median"] > 0) == (name == "off")
        pictures[name] = canvas.evaluate("canvas => canvas.toDataURL()")
    assert pictures["exact"] != pictures["off"]
