"""One command writes the repository's address everywhere."""

import pytest

from set_repository import configured, normalised, replace_address, set_repository

OLD = "https://github.com/OWNER/REPO"
NEW = "https://github.com/ada/tokens"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"git clone {OLD} && cd REPO", f"git clone {NEW} && cd tokens"),
        (f"git clone {OLD}.git", f"git clone {NEW}.git"),
        (f"See {OLD}.", f"See {NEW}."),
        (f"{OLD}/actions/workflows/test.yml", f"{NEW}/actions/workflows/test.yml"),
        (
            "https://colab.research.google.com/github/OWNER/REPO/blob/v1/a.ipynb",
            "https://colab.research.google.com/github/ada/tokens/blob/v1/a.ipynb",
        ),
        ("https://OWNER.github.io/REPO/", "https://ada.github.io/tokens/"),
        ("https://github.com/OWNER/REPOSITORY", "https://github.com/OWNER/REPOSITORY"),
        ("https://github.com/facebookresearch/vggt", "https://github.com/facebookresearch/vggt"),
    ],
)
def test_address_in_text(before, after):
    assert replace_address(before, OLD, NEW) == after


@pytest.mark.parametrize("given", [NEW, f"{NEW}/", f"{NEW}.git"])
def test_address_is_normalised(given):
    assert normalised(given) == NEW


@pytest.mark.parametrize(
    "given",
    ["ada/tokens", "https://gitlab.com/ada/tokens", "https://github.com/ada", f"{NEW}/tree/x"],
)
def test_other_addresses_are_refused(given):
    with pytest.raises(ValueError, match=r"must be https://github\.com/OWNER/NAME.*not"):
        normalised(given)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "chapters").mkdir()
    (tmp_path / "_config.yml").write_text(
        f"title: A book\nrepository:\n  url: {OLD}  # the one place\n  branch: v2.0.0\n"
    )
    (tmp_path / "README.md").write_text(f"Clone {OLD}.\n")
    (tmp_path / "chapters" / "one.ipynb").write_text(f"\"%pip install 'git+{OLD}@v1.0.0'\"")
    return tmp_path


def test_address_and_release_tag_reach_every_file(project):
    set_repository(project, NEW)
    assert configured(project) == (NEW, "v2.0.0")
    assert (project / "README.md").read_text() == f"Clone {NEW}.\n"
    notebook = (project / "chapters" / "one.ipynb").read_text()
    assert notebook == f"\"%pip install 'git+{NEW}@v2.0.0'\""
    assert "# the one place" in (project / "_config.yml").read_text()


def test_address_can_be_set_again(project):
    set_repository(project, NEW)
    set_repository(project, OLD)
    assert (project / "README.md").read_text() == f"Clone {OLD}.\n"
