"""Compares what our network computes with what a fixture holds."""

import torch
from torch import Tensor

from golden.fixture_format import Fixture
from golden.reproduction import REPRODUCTIONS
from tolerances import (
    PARITY_ABSOLUTE,
    PARITY_BFLOAT16,
    PARITY_FLOAT64_FACTOR,
    PARITY_RELATIVE,
    ROTARY_ANGLE_ROUNDING,
)


def mismatches(fixture: Fixture, dtype: torch.dtype) -> list[str]:
    """One line for each output of the fixture that our network in ``dtype`` does not meet."""
    if fixture.kind not in REPRODUCTIONS:
        known = sorted(REPRODUCTIONS)
        return [f"{fixture.name} has the unknown kind {fixture.kind!r}; known are {known}"]
    with torch.inference_mode():
        computed = REPRODUCTIONS[fixture.kind](fixture, dtype)
    expected = fixture.outputs()
    if not expected:
        return [f"{fixture.name} holds no output"]
    return [
        f"{fixture.name} {key}: {fault}"
        for key in expected
        if (fault := difference(computed.get(key), expected[key], limit(fixture, key, dtype)))
    ]


def difference(computed: Tensor | None, expected: Tensor, limit: float) -> str | None:
    """What is wrong with the computed tensor, or nothing."""
    if computed is None:
        return "no value is computed for it"
    if computed.shape != expected.shape:
        return f"shape {tuple(computed.shape)} instead of {tuple(expected.shape)}"
    if expected.numel() == 0:
        return None
    error = (computed.double() - expected.double()).abs().max().item()
    return None if error <= limit else f"differs by {error:.2e}, more than {limit:.2e}"


def limit(fixture: Fixture, key: str, dtype: torch.dtype) -> float:
    """The largest difference that rounding explains; integers must be equal."""
    expected = fixture.outputs()[key]
    if not expected.is_floating_point():
        return 0.0
    largest = expected.abs().max().item()
    if key.endswith("_bf16"):
        return PARITY_BFLOAT16
    rounding = fixture.reference_rounding(key)
    if dtype == torch.float32 or rounding is None:
        return max(PARITY_ABSOLUTE, PARITY_RELATIVE * largest)
    angle = ROTARY_ANGLE_ROUNDING * largest_position(fixture)
    return PARITY_FLOAT64_FACTOR * rounding + angle * largest


def largest_position(fixture: Fixture) -> int:
    """The largest rotary position, from the positions or the patch grid; 0 without rotation."""
    if (fixture.settings.get("rope_freq") or 0) <= 0:
        return 0
    inputs = fixture.inputs(torch.float64)
    if "images" in inputs:
        patch_size = fixture.settings.get("patch_size", 14)
        return max(max(images.shape[-2:]) for images in inputs.values()) // patch_size
    return int(inputs.get("positions", inputs.get("pos")).max())
