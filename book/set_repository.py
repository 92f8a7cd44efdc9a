"""Write the repository's address everywhere it stands. ``_config.yml`` is the one source.

    python book/set_repository.py https://github.com/me/my-book   set a new address
    python book/set_repository.py                                 repeat what _config.yml says

The address and the release tag of ``_config.yml`` go into the setup cell of every notebook;
the address also into every link and badge of the front matter.
"""

import argparse
import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "_config.yml"
FILES = ("CITATION.cff", "CONTRIBUTING.md", "README.md", "pyproject.toml")
PAGES = ("chapters/*.ipynb", "chapters/*.md")
ADDRESS = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?")
INSTALLED = re.compile(r"git\+https://github\.com/[\w.-]+/[\w.-]+@[\w.-]+")
SETUP_CELL = """\
# Colab only: install this book's library and what Colab lacks; keep Colab's torch.
import sys

if "google.colab" in sys.modules:
    %pip install -q --no-deps jaxtyping wadler-lindig 'git+{url}@{tag}'"""


def configured(root):
    """Return the address and the release tag that ``_config.yml`` gives."""
    repository = yaml.safe_load((root / CONFIG).read_text())["repository"]
    return repository["url"], repository["branch"]


def set_repository(root, new):
    """Replace the configured address by ``new`` in the configuration and all that repeats it."""
    old, tag = configured(root)
    files = [root / CONFIG, *(root / name for name in FILES)]
    files += [path for pattern in PAGES for path in sorted(root.glob(pattern))]
    for path in filter(Path.is_file, files):
        before = path.read_text()
        after = replace_address(before, old, new)
        after = INSTALLED.sub(f"git+{new}@{tag}", after)
        if after != before:
            path.write_text(after)


def replace_address(text, old, new):
    """Replace every form of an address: repository, Colab links, published pages, its clone."""
    old_owner, old_name = ADDRESS.fullmatch(old).groups()
    new_owner, new_name = ADDRESS.fullmatch(new).groups()
    forms = {
        f"github.com/{old_owner}/{old_name}": f"github.com/{new_owner}/{new_name}",
        f"/github/{old_owner}/{old_name}": f"/github/{new_owner}/{new_name}",
        f"{old_owner}.github.io/{old_name}": f"{new_owner}.github.io/{new_name}",
        f"cd {old_name}": f"cd {new_name}",
    }
    for before, after in forms.items():
        text = re.sub(re.escape(before) + r"(?![\w-])", after, text)
    return text


def normalised(url):
    """Return an address as it is written here, or raise with the form expected."""
    match = ADDRESS.fullmatch(url)
    if match is None:
        raise ValueError(
            f"the address must be https://github.com/OWNER/NAME (Colab opens notebooks from "
            f"there only), not {url!r}"
        )
    return "https://github.com/{}/{}".format(*match.groups())


def main():
    """Set the address given on the command line, or the configured one again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", nargs="?", help="https://github.com/OWNER/NAME")
    options = parser.parse_args()
    try:
        new = normalised(options.url or configured(ROOT)[0])
    except ValueError as error:
        sys.exit(f"set_repository: {error}")
    set_repository(ROOT, new)
    print(f"The repository is {new}. Check it with 'git diff'.")


if __name__ == "__main__":
    main()
