"""Serve the book's own scripts, styles and fetched assets from ``_static``.

The folders join ``html_static_path`` only here, after Jupyter Book has looked at it: Jupyter
Book 1.x puts every script and style found below that path on every page.
"""

from pathlib import Path

from sphinx.errors import ConfigError

BOOK = Path(__file__).resolve().parent
STATIC = BOOK / "static"
ASSETS = BOOK / "assets"


def serve_folders(app, config):
    """Add our folders, or stop if the assets have not been fetched."""
    if not (ASSETS / config.mathjax_path).is_file():
        raise ConfigError(f"{ASSETS / config.mathjax_path} is missing: run 'make assets'")
    config.html_static_path += [str(STATIC), str(ASSETS)]


def drop_icon_script(app, exception):
    """Empty the theme's icon script (0.5 MB): its fonts already draw the same icons."""
    script = Path(app.outdir, "_static", "scripts", "fontawesome.js")
    if exception is None and script.exists():
        script.write_text("/* The icons come from the fonts. */\n")


def setup(app):
    """Connect to the start and the end of the build."""
    app.connect("config-inited", serve_folders)
    app.connect("build-finished", drop_icon_script)
    app.add_css_file("book.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
