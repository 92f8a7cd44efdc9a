"""The rank explorer, Python side, with ipywidgets 7.7 and the oldest anywidget it accepts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "build" / "ipywidgets7"
VERSIONS = ("ipywidgets==7.7.1", "anywidget==0.9.18", "ipython_genutils==0.2.0")
INSTALL_COMMAND = (
    f"python -m pip install --no-deps --target build/{FOLDER.name} {' '.join(VERSIONS)}"
)

SCENARIO = """
import anywidget, ipywidgets
from attention_collapse.widgets.rank_explorer import RankExplorer

assert ipywidgets.__version__ == "7.7.1", ipywidgets.__version__
assert anywidget.__version__ == "0.9.18", anywidget.__version__

def measure(depth, frames, surface):
    if frames == 13:
        raise RuntimeError("no room")
    return {"depth": depth, "frames": frames, "label": "stand-in", "singular_values": [1.0, 0.5]}

explorer = RankExplorer(depth=3, frames=8)
seen = []
explorer.observe(lambda change: seen.append(change["new"]), "depth")
depth, frames = explorer.attach(measure).children
depth.value = 5
explorer.frames = 9
assert (explorer.depth, frames.value, seen) == (5, 9, [5])
assert [(each["depth"], each["frames"]) for each in explorer.measured] == [(5, 9)]

explorer.dilution_frames = 128.0
assert explorer.measured[0]["dilution_frames"] == 128.0

explorer.set_state({"depth": 6})  # as a message from the page
assert depth.value == 6 and explorer.measured[0]["depth"] == 6

try:
    frames.value = 13
except RuntimeError:
    assert "no room" in explorer.error and explorer.measured == []
else:
    raise AssertionError("a failed measurement went by in silence")

try:
    explorer.depth = -1
except ValueError:
    assert explorer.depth == 6
else:
    raise AssertionError("depth -1 was accepted")

data, _ = explorer._repr_mimebundle_()
assert {"application/vnd.jupyter.widget-view+json", "image/png"} <= set(data)
"""


@pytest.fixture(scope="module")
def environment():
    """Environment variables under which the old versions shadow the installed ones."""
    if not (FOLDER / "ipywidgets").is_dir():
        pytest.fail(f"ipywidgets 7.7 is not there to test with: run '{INSTALL_COMMAND}'")
    return os.environ | {"PYTHONPATH": str(FOLDER)}


def test_explorer_works_from_python(environment):
    result = subprocess.run(
        [sys.executable, "-c", SCENARIO], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
