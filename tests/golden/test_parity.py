"""Parity with the reference implementation on every fixture of the folder ``--fixtures-dir``."""

import pytest
import torch

from golden.comparison import mismatches
from golden.fixture_format import Fixture, fixture_names


def test_the_folder_holds_fixtures(folder):
    assert fixture_names(folder), f"no fixture (NAME.json) in {folder.resolve()}"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_parity(folder, fixture_name, dtype):
    found = mismatches(Fixture.read(folder, fixture_name), dtype)
    assert not found, "\n".join(found)
