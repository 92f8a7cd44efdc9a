"""A chapter is executed again after any change of what it computes with, and only then."""

import pytest

from execution_cache import execution_key


@pytest.fixture
def project(tmp_path):
    files = {
        "lib/package/module.py": "x = 1",
        "lib/package/static/widget.js": "draw()",
        "lib/package/data/record.npz": "numbers",
        "chapters/measured.csv": "1,2",
        "chapters/first.ipynb": "{}",
        "chapters/notation.md": "# Notation",
        "constraints.txt": "numpy==2",
        "pyproject.toml": "[project]",
        "README.md": "# Book",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "lib/package/module.py",
        "lib/package/static/widget.js",
        "lib/package/data/record.npz",
        "chapters/measured.csv",
        "constraints.txt",
        "pyproject.toml",
    ],
)
def test_key_changes_with(project, name):
    before = execution_key(project)
    (project / name).write_text("changed")
    assert execution_key(project) != before


@pytest.mark.parametrize("name", ["chapters/first.ipynb", "chapters/notation.md", "README.md"])
def test_key_stays_after_an_edit_of_prose(project, name):
    before = execution_key(project)
    (project / name).write_text("changed")
    assert execution_key(project) == before


@pytest.mark.parametrize(
    "name",
    [
        "lib/package/__pycache__/module.cpython-311.pyc",
        "lib/package.egg-info/SOURCES.txt",
        "chapters/.ipynb_checkpoints/first-checkpoint.txt",
        "chapters/__pycache__/module.pyc",
    ],
)
def test_key_stays_when_a_tool_writes_its_files(project, name):
    before = execution_key(project)
    (project / name).parent.mkdir(parents=True, exist_ok=True)
    (project / name).write_text("built")
    assert execution_key(project) == before


def test_key_changes_when_a_file_moves(project):
    before = execution_key(project)
    (project / "lib/package/module.py").rename(project / "lib/package/renamed.py")
    assert execution_key(project) != before
