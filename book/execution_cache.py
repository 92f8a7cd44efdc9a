"""Execute a chapter again when anything it computes with has changed.

jupyter-cache looks only at a notebook's own code cells: after an edit of the library it would
serve stale outputs. Here the cache's folder is named after a digest of everything else that
the outputs depend on. Sphinx reads all pages again when that name changes; prose is not part
of it, so editing prose executes nothing.
"""

import hashlib
import sys
from pathlib import Path

BUILD_FOLDERS = {"__pycache__", ".ipynb_checkpoints"}
# Pages and the bibliography are text: jupyter-cache itself follows the notebooks' code cells.
PAGE_SUFFIXES = {".ipynb", ".md", ".bib"}
PINS = ("constraints.txt", "pyproject.toml")


def execution_key(root):
    """Digest the library with its data, the pins, the chapters' own data and the Python version."""
    digest = hashlib.sha256(f"{sys.version_info[:2]}".encode())
    for path in dependencies(root):
        contents = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"\n{path.relative_to(root).as_posix()} {contents}".encode())
    return digest.hexdigest()[:16]


def dependencies(root):
    """Return the files that the outputs of chapters depend on, in a fixed order."""
    library = (root / "lib").rglob("*")
    chapters = [path for path in (root / "chapters").rglob("*") if path.suffix not in PAGE_SUFFIXES]
    files = [path for path in [*library, *chapters] if path.is_file() and not is_built(path)]
    return sorted(files) + [root / name for name in PINS]


def is_built(path):
    """Tell whether a tool wrote this file: bytecode, copies, installation metadata."""
    return any(part in BUILD_FOLDERS or part.endswith(".egg-info") for part in path.parts)


def name_the_cache(app, config):
    """Point MyST-NB to the cache of the present key."""
    if config.nb_execution_mode == "cache":
        caches = Path(app.srcdir) / "_build" / ".jupyter_cache"
        config.nb_execution_cache_path = str(caches / execution_key(Path(app.srcdir)))


def setup(app):
    """Connect before MyST-NB reads its configuration."""
    app.connect("config-inited", name_the_cache, priority=10)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
