"""Numbers of records in the prose of the built book."""


def quote(name: str, text: str) -> None:
    """Let the prose of a chapter say ``text`` wherever it asks for ``name``.

    The built page then shows the number that the chapter computed. Where no page is built, on
    Colab or in the notebook tests, nothing happens.

    Home section: *The phenomenon*.
    """
    try:
        from myst_nb import glue
    except ImportError:
        return
    glue(name, text, display=False)
