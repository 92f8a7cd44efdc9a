import sys

from attention_collapse import records


def test_a_number_reaches_the_page_being_built(monkeypatch):
    glued = {}

    class MystNB:
        @staticmethod
        def glue(name, text, *, display):
            glued[name] = (text, display)

    monkeypatch.setitem(sys.modules, "myst_nb", MystNB)
    records.quote("last_ratio", "0.071")
    assert glued == {"last_ratio": ("0.071", False)}


def test_quoting_does_nothing_where_no_page_is_built(monkeypatch):
    monkeypatch.setitem(sys.modules, "myst_nb", None)
    records.quote("last_ratio", "0.071")
