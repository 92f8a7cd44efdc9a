from dataclasses import dataclass
from typing import Any

import pytest

from attention_collapse.vggt.validation import require_minimum


@dataclass(frozen=True)
class Sizes:
    depth: Any = 24
    registers: Any = 4


def test_the_minimum_itself_passes():
    require_minimum(Sizes(depth=1, registers=0), depth=1, registers=0)


@pytest.mark.parametrize("value", [0, -3, 2.0, None])
def test_smaller_counts_and_other_numbers_are_refused(value):
    message = f"depth must be an integer of at least 1, got {value}; VGGT uses 24"
    with pytest.raises(ValueError, match=message):
        require_minimum(Sizes(depth=value), registers=0, depth=1)
