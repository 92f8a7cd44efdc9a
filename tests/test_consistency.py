"""What is said in several places is said the same: versions, addresses, pins, contents.

Only text is read here: no kernel, no browser.
"""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import set_repository

ROOT = Path(__file__).resolve().parents[1]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOTEBOOKS = sorted((ROOT / "chapters").rglob("*.ipynb"))
CODE_FILES = sorted(
    path
    for folder in ("lib", "book")
    for suffix in ("py", "js", "css")
    for path in (ROOT / folder).rglob(f"*.{suffix}")
    if "assets" not in path.parts
)
each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)

TEST_FILES = sorted((ROOT / "tests").rglob("*.py"))
LONGEST_FILE = 300
LONGEST_CELL = 12
DEFINITION = re.compile(r"^\s*(async def|def|class)\b", re.MULTILINE)
PATH_EDIT = re.compile(r"sys\.path|PYTHONPATH|os\.chdir|^%cd", re.MULTILINE)


def cells(notebook, *, tag=None):
    """The code cells of a notebook, or those with a tag."""
    found = [
        cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"
    ]
    return [cell for cell in found if tag is None or tag in cell["metadata"].get("tags", [])]


def source(cell):
    return "".join(cell["source"])


def pins(path):
    """The versions that a list of pins gives, by normalised name."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (x.split("==") for x in lines)}


class TestVersion:
    version = PROJECT["version"]

    def test_package(self):
        text = (ROOT / "lib" / "attention_collapse" / "__init__.py").read_text()
        assert f'__version__ = "{self.version}"' in text

    def test_release_tag_that_colab_opens(self):
        assert CONFIG["repository"]["branch"] == f"v{self.version}"

    def test_citation(self):
        assert CITATION["version"] == self.version

    def test_changelog(self):
        assert f"\n## {self.version}" in (ROOT / "CHANGELOG.md").read_text()


class TestPins:
    constraints = pins(ROOT / "constraints.txt")
    colab = pins(ROOT / ".github" / "constraints-colab.txt")

    @pytest.mark.parametrize("extra", ["", "book", "test"])
    def test_every_requirement_is_pinned_within_its_range(self, extra):
        extras = PROJECT["optional-dependencies"]
        for text in extras[extra] if extra else PROJECT["dependencies"]:
            requirement = Requirement(text)
            assert self.constraints[canonicalize_name(requirement.name)] in requirement.specifier

    def test_what_is_installed_is_what_is_pinned(self):
        for name, pinned in self.constraints.items():
            try:
                installed = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue  # another platform's package
            assert installed.split("+")[0] == pinned, f"{name}: run 'make environment'"

    def test_no_build_of_torch_is_chosen(self):
        assert "+" not in "".join(self.constraints.values())

    def test_conda_environment_takes_the_same_list(self):
        environment = yaml.safe_load((ROOT / "environment.yml").read_text())
        *conda, from_pip = environment["dependencies"]
        assert [re.split("[=<>]", name)[0] for name in conda] == ["python", "pip"]
        assert from_pip == {"pip": ["--constraint constraints.txt", "--editable .[book,test]"]}
        assert environment["channels"] == ["conda-forge", "nodefaults"]

    def test_colab_has_what_the_library_needs_or_the_setup_cell_adds_it(self):
        added = installed_on_colab()
        needed = [Requirement(text) for text in PROJECT["dependencies"]]
        for name in added:
            needed += map(Requirement, metadata.requires(name) or [])
        for requirement in needed:
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                continue
            name = canonicalize_name(requirement.name)
            assert name in added or self.colab[name] in requirement.specifier, requirement

    def test_setup_cell_replaces_nothing_that_colab_has(self):
        assert not installed_on_colab() & self.colab.keys()

    def test_oldest_widgets_are_those_of_colab(self):
        target = (ROOT / "Makefile").read_text().split("\nbuild/ipywidgets7:")[1]
        assert re.search(r"ipywidgets==(\S+)", target)[1] == self.colab["ipywidgets"]

    def test_workflow_installs_what_the_setup_cell_installs(self):
        workflow = (ROOT / ".github" / "workflows" / "colab.yml").read_text()
        *added, library = re.search(r"--no-deps (.*)", workflow)[1].split()
        assert set(map(canonicalize_name, added)) == installed_on_colab()
        assert library == "."


def installed_on_colab():
    """The packages that the setup cell installs by name, without the book's library."""
    command = set_repository.SETUP_CELL.split("--no-deps ")[1]
    return {canonicalize_name(name) for name in command.split()[:-1]}


class TestRepositoryAddress:
    url, tag = set_repository.configured(ROOT)

    def test_it_has_its_final_form(self):
        assert set_repository.normalised(self.url) == self.url

    def test_citation(self):
        assert CITATION["repository-code"] == self.url

    @pytest.mark.parametrize("name", ["README.md", "pyproject.toml"])
    def test_front_matter_names_it(self, name):
        assert self.url in (ROOT / name).read_text()

    def test_the_command_would_change_nothing(self, copy_of_the_text):
        before = contents(copy_of_the_text)
        set_repository.set_repository(copy_of_the_text, self.url)
        assert contents(copy_of_the_text) == before

    def test_the_command_changes_every_mention(self, copy_of_the_text):
        owner, name = set_repository.ADDRESS.fullmatch(self.url).groups()
        set_repository.set_repository(copy_of_the_text, "https://github.com/someone/else")
        for path, text in contents(copy_of_the_text).items():
            assert f"{owner}/{name}" not in text, path
            assert f"{owner}.github.io" not in text, path

    def test_no_placeholder_stays_once_an_address_is_set(self):
        if "OWNER" not in self.url:
            for path, text in contents(ROOT).items():
                assert not re.search(r"OWNER/REPO|cd REPO", text), path


def contents(root):
    """The text of every file that may name the repository."""
    names = [set_repository.CONFIG, *set_repository.FILES, *set_repository.PAGES]
    return {
        path.relative_to(root): path.read_text()
        for name in names
        for path in sorted(root.glob(name))
    }


@pytest.fixture
def copy_of_the_text(tmp_path):
    for path, text in contents(ROOT).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


class TestFrontMatter:
    @pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
    def test_what_it_links_to_exists(self, name):
        targets = re.findall(r"\]\(([^)\s]+)\)", (ROOT / name).read_text())
        local = [target.split("#")[0] for target in targets if "://" not in target]
        assert [target for target in local if not (ROOT / target).exists()] == []

    def test_browser_variables_are_those_that_are_read(self):
        paragraphs = (ROOT / "README.md").read_text().split("\n\n")
        about = [paragraph for paragraph in paragraphs if "Chromium" in paragraph]
        named = re.findall(r"`([A-Z][A-Z_]+)`", " ".join(about))
        finder = (ROOT / "book" / "find_browser.py").read_text()
        assert named == re.findall(r"environ\.get\(\"(\w+)\"", finder)


@each_notebook
class TestNotebook:
    def test_setup_cell(self, notebook):
        url, tag = set_repository.configured(ROOT)
        (setup,) = cells(notebook, tag="setup")
        assert setup == cells(notebook)[0]
        assert setup["metadata"]["tags"] == ["setup", "remove-cell"]
        assert source(setup) == set_repository.SETUP_CELL.format(url=url, tag=tag)

    def test_no_outputs(self, notebook):
        for cell in cells(notebook):
            assert cell["outputs"] == []
            assert cell["execution_count"] is None

    def test_cells_are_short_and_define_nothing(self, notebook):
        for cell in cells(notebook):
            assert len(source(cell).splitlines()) <= LONGEST_CELL, source(cell)
            assert not DEFINITION.search(source(cell)), source(cell)

    def test_runs_wherever_the_library_is_installed(self, notebook):
        for cell in cells(notebook):
            assert not PATH_EDIT.search(source(cell)), source(cell)
            assert "myst_nb" not in source(cell), "Colab has no MyST-NB"

    def test_kernel(self, notebook):
        assert json.loads(notebook.read_text())["metadata"]["kernelspec"]["name"] == "python3"


class TestContents:
    def test_toc_lists_every_page_once(self):
        text = (ROOT / "_toc.yml").read_text()
        listed = re.findall(r"(?:root|file): (\S+)", text)
        pages = [p for s in ("md", "ipynb") for p in (ROOT / "chapters").rglob(f"*.{s}")]
        assert sorted(listed) == sorted(
            page.relative_to(ROOT).with_suffix("").as_posix() for page in pages
        )

    def test_reference_documents_every_module_once(self):
        pages = sorted((ROOT / "chapters" / "reference").glob("*.md"))
        documented = [
            name for page in pages for name in re.findall(r"automodule:: (\S+)", page.read_text())
        ]
        assert sorted(documented) == sorted(map(module_name, modules()))

    @pytest.mark.parametrize("path", CODE_FILES, ids=lambda path: path.name)
    def test_file_can_be_read_at_one_sitting(self, path):
        assert len(path.read_text().splitlines()) <= LONGEST_FILE


def modules():
    """The source files of the library, without those that are run."""
    files = (ROOT / "lib" / "attention_collapse").rglob("*.py")
    return [path for path in files if path.name != "__main__.py"]


def module_name(path):
    parts = path.relative_to(ROOT / "lib").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def numeric_theory():
    """The modules of the theory that pages load: all but those that hold sympy expressions."""
    names = [module_name(path) for path in modules()]
    theory = [name for name in names if name.startswith("attention_collapse.theory.")]
    return [name for name in theory if "symbol" not in name]


class TestImports:
    @pytest.mark.parametrize(
        ("module", "heavy"),
        [
            ("attention_collapse", {"anywidget", "matplotlib", "numpy", "scipy", "sympy", "torch"}),
            ("attention_collapse.widgets", {"matplotlib", "sympy", "torch"}),
            ("attention_collapse.records", {"matplotlib", "scipy", "torch"}),
            *((name, {"matplotlib", "sympy", "torch"}) for name in numeric_theory()),
        ],
    )
    def test_module_loads_without_what_it_seldom_needs(self, module, heavy):
        code = f"import sys, {module}; print(sorted({heavy!r} & set(sys.modules)))"
        loaded = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert ast.literal_eval(loaded.stdout) == []

    @pytest.mark.parametrize("path", modules(), ids=module_name)
    def test_annotations_stay_objects(self, path):
        """Axis names are checked by jaxtyping, which cannot read annotations kept as strings."""
        assert "from __future__ import annotations" not in path.read_text()


def bare_tolerances(text):
    """Tolerances that are numbers and no multiple of a constant, zero apart, with their lines."""
    return [
        f"line {argument.value.lineno}: {ast.unparse(argument)}"
        for argument in ast.walk(ast.parse(text))
        if isinstance(argument, ast.keyword)
        and argument.arg in {"rel", "abs", "rtol", "atol"}
        and not any(isinstance(part, ast.Name) for part in ast.walk(argument.value))
        and any(getattr(part, "value", 0) for part in ast.walk(argument.value))
    ]


class TestTolerances:
    """Each has a name and a reason in tolerances.py."""

    @pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.name)
    def test_no_test_has_a_number_of_its_own(self, path):
        assert bare_tolerances(path.read_text()) == []

    @pytest.mark.parametrize("given", ["rel=1e-6", "abs=5", "rtol=2 * 1e-3", "atol=-1e-9"])
    def test_a_number_is_found(self, given):
        assert len(bare_tolerances(f"close(1, 2, {given})")) == 1

    @pytest.mark.parametrize("given", ["rel=FLOAT64", "abs=0", "rtol=10 * FLOAT64", "atol=0.0"])
    def test_a_constant_and_zero_are_let_pass(self, given):
        assert bare_tolerances(f"close(1, 2, {given})") == []
