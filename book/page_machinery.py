"""The book's Sphinx extension. Each part is a small extension of its own, in the file named."""

PARTS = ("execution_cache", "static_files", "widget_posters", "page_repairs")


def setup(app):
    """Set up every part."""
    for part in PARTS:
        app.setup_extension(part)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
