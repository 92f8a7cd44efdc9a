"""Every labelled statement of these chapters is proved by a test that names its label.

A test names labels with ``@pytest.mark.claims("eq-tilt", "lem-tilt")``. A displayed identity names
its own and is proved here.
"""

import ast
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from attention_collapse.theory.symbolic import IDENTITIES

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = (
    "vggt",
    "mean-field",
    "degenerate-diffusion",
    "dirac-rate",
    "rank-profile",
    "depth-and-frames",
    "measuring-collapse",
    "a-thousand-frames",
    "token-merging",
    "mini-vggt",
    "does-it-collapse",
    "predicting-the-profile",
    "what-fails",
)
DISPLAYED = re.compile(r"\$\$(.+?)\$\$[ \t]*(?:\(([\w-]+)\))?", re.DOTALL)
DIRECTIVE = re.compile(r"^:(?:label|name): ([\w-]+)$", re.MULTILINE)
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS)


def markdown(chapter):
    cells = json.loads((ROOT / "chapters" / f"{chapter}.ipynb").read_text())["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    return "\n\n".join(texts)


def equation_labels(chapter):
    return [label for _, label in DISPLAYED.findall(markdown(chapter))]


def claimed_labels():
    """The labels in the ``claims`` marks of all tests, and those of the identities."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("test_*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    marks = [call for call in calls if ast.unparse(call.func) == "pytest.mark.claims"]
    marked = {ast.literal_eval(argument) for mark in marks for argument in mark.args}
    return marked | {identity.label for identity in IDENTITIES}


def test_no_chapter_has_a_label_of_another():
    labels = [
        label
        for chapter in CHAPTERS
        for label in (*equation_labels(chapter), *DIRECTIVE.findall(markdown(chapter)))
    ]
    assert [label for label, count in Counter(labels).items() if label and count > 1] == []


@each_chapter
def test_every_displayed_equation_has_a_label(chapter):
    unlabelled = [text for text, label in DISPLAYED.findall(markdown(chapter)) if not label]
    assert unlabelled == []


@each_chapter
def test_every_labelled_statement_is_named_by_a_test(chapter):
    labels = {*equation_labels(chapter), *DIRECTIVE.findall(markdown(chapter))}
    assert labels, "no labelled statement found"
    assert sorted(labels - claimed_labels()) == []


def test_tests_name_statements_that_exist():
    stated = {label for chapter in CHAPTERS for label in equation_labels(chapter)}
    stated |= {label for chapter in CHAPTERS for label in DIRECTIVE.findall(markdown(chapter))}
    assert sorted(claimed_labels() - stated) == []


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.label)
def test_sympy_confirms_each_displayed_identity(identity):
    assert identity.holds(), identity.residual()


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.label)
def test_no_identity_is_equal_on_construction(identity):
    assert identity.left != identity.right


def test_each_identity_is_a_displayed_equation():
    displayed = [label for chapter in CHAPTERS for label in equation_labels(chapter)]
    assert sorted({identity.label for identity in IDENTITIES} - set(displayed)) == []
