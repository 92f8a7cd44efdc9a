"""The symbols of the theory are those of the notation page."""

from pathlib import Path

import pytest
import sympy

from attention_collapse.theory import symbols
from attention_collapse.theory.symbols import NOTATION

PAGE = Path(__file__).resolve().parents[2] / "chapters" / "notation.md"


@pytest.mark.parametrize("entry", NOTATION, ids=lambda entry: entry.symbol.name)
def test_the_notation_page_has_the_symbol_with_its_meaning_and_unit(entry):
    row = f"| ${entry.symbol}$ | {entry.meaning} | {entry.unit} |"
    assert PAGE.read_text().splitlines().count(row) == 1


def test_no_symbol_has_two_meanings():
    names = [entry.symbol.name for entry in NOTATION]
    assert len(names) == len(set(names))


def test_every_symbol_of_the_module_has_one_row():
    defined = [value for value in vars(symbols).values() if isinstance(value, sympy.Symbol)]
    assert sorted(map(str, defined)) == sorted(str(entry.symbol) for entry in NOTATION)
    assert {entry.symbol for entry in NOTATION} == set(defined)
