"""The base of the widgets: files joined, presets, still image, what loads."""

import json
import re
import subprocess
import sys

import pytest
import traitlets

from attention_collapse.widgets.base import STATIC, BookWidget, front_end


class Lamp(BookWidget):
    """A widget with one trait and no picture."""

    _esm = "export default { render() {} };\n"
    level = traitlets.Int(0).tag(sync=True)
    presets = traitlets.List([{"name": "dim", "level": 1}, {"name": "bright", "level": 9}]).tag(
        sync=True
    )


class Drawn(Lamp):
    """A lamp with a still image."""

    def poster(self) -> bytes:
        return b"PNG"


def test_files_are_joined_in_order():
    text = front_end("controls.js", "base.js")
    assert text.index("function slider(") < text.index("function defineWidget(")


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_script_neither_imports_nor_fetches(path):
    text = path.read_text()
    assert not re.search(r"^\s*import\b|\bimport\(|\bfetch\(|XMLHttpRequest", text, re.MULTILINE)
    assert set(re.findall(r"https?://[\w./]+", text)) <= {"http://www.w3.org/2000/svg"}


def test_preset_sets_the_traits_it_lists():
    lamp = Lamp()
    lamp.apply_preset("bright")
    assert lamp.level == 9


def test_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="got 'warm': use one of 'dim', 'bright'"):
        Lamp().apply_preset("warm")


@pytest.mark.parametrize("preset", [{"level": 3}, {"name": "odd", "colour": 3}])
def test_preset_without_name_or_with_unknown_trait_is_refused(preset):
    with pytest.raises(ValueError, match="a preset must have a name"):
        Lamp(presets=[preset])


def test_bundle_has_the_view_and_the_still_image():
    data, metadata = Drawn()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["image/png"] == "UE5H"
    assert metadata == {}


def test_widget_without_still_image_says_what_to_override():
    with pytest.raises(NotImplementedError, match="Lamp has no still image"):
        Lamp()._repr_mimebundle_()


def test_explorer_loads_without_torch_or_matplotlib():
    code = (
        "import json, sys, attention_collapse.widgets.rank_explorer;"
        "print(json.dumps(sorted({'torch', 'matplotlib', 'sympy'} & set(sys.modules))))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert json.loads(result.stdout) == []
