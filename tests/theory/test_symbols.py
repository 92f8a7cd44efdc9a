"""The symbols of the theory are those of the notation page."""

from pathlib import Path

import pytest

from attention_collapse.theory.symbols import NOTATION

PAGE = Path(__file__).resolve().parents[2] / "chapters" / "notation.md"


@pytest.mark.parametrize("entry", NOTATION, ids=lambda entry: entry.symbol.name)
def test_the_notation_page_has_the_symbol_with_its_meaning_and_unit(entry):
    row = f"| ${entry.symbol}$ | {entry.meaning} | {entry.unit} |"
    assert PAGE.read_text().splitlines().count(row) == 1


def test_no_symbol_has_two_meanings():
    names = [entry.symbol.name for entry in NOTATION]
    assert len(names) == len(set(names))
