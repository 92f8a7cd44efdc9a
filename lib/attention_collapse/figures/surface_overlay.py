"""Measured collapse surfaces as the few kilobytes that a page carries."""

import base64
from collections.abc import Mapping, Sequence

import numpy as np

from attention_collapse.records import Record

BYTE_LIMIT = 150_000
"""Most bytes of all grids of one overlay, as base64."""

MISSING = {8: 2**8 - 1, 16: 2**16 - 1}
"""By number of bits, the code of what was not measured; the codes below it are values."""


def surface_overlay(
    record: Record, *, quantities: Sequence[str] | None = None, bits: int = 8
) -> dict[str, object]:
    """The grids of a ``collapse_surface`` record as plain data for JSON.

    Args:
        record: The record.
        quantities: Grids to take; ``None`` takes all.
        bits: Of a code, 8 or 16.

    Returns:
        ``settings``, ``frames``, ``depth``, ``missing`` (a code), ``bits``, and ``grids``: for each
        quantity what ``quantise`` gives. Codes run over settings, frames and layers, the last
        fastest.

    Raises:
        ValueError: If the record is of another experiment, has no such grid, or its grids exceed
            ``BYTE_LIMIT``.

    Home section: *A thousand frames*.
    """
    if record.experiment != "collapse_surface":
        raise ValueError(
            f"an overlay is made of a record of collapse_surface, got {record.experiment}"
        )
    known = [name for name, axes in record.axes.items() if len(axes) == 3]
    names = known if quantities is None else list(quantities)
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(f"no grid {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    grids = {name: quantise(record.arrays[name], bits=bits) for name in names}
    size = sum(len(grid["codes"]) for grid in grids.values())
    if size > BYTE_LIMIT:
        raise ValueError(
            f"the grids of an overlay must not exceed {BYTE_LIMIT} bytes, got {size}: take fewer "
            "quantities, or 8 bits"
        )
    return {
        "settings": record.arrays["settings"].tolist(),
        "frames": record.arrays["frames"].tolist(),
        "depth": int(record.arrays[names[0]].shape[-1]) if names else 0,
        "bits": bits,
        "missing": MISSING[bits],
        "grids": grids,
    }


def quantise(values: np.ndarray, *, bits: int = 8) -> dict[str, object]:
    r"""Numbers as whole-number codes on an even scale from the least to the largest.

    A value is :math:`\text{low} + \text{step} \cdot \text{code}`, off by half a step at most.

    Args:
        values: Numbers; those that are not finite were not measured.
        bits: Of a code, 8 or 16.

    Returns:
        ``low``, ``step``, and ``codes``: little-endian unsigned integers in base64.

    Raises:
        ValueError: If ``bits`` is neither 8 nor 16.

    Home section: *A thousand frames*.
    """
    if bits not in MISSING:
        raise ValueError(f"bits must be 8 or 16, got {bits}")
    values = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(values)
    low, high = (values[finite].min(), values[finite].max()) if finite.any() else (0.0, 0.0)
    step = (high - low) / (MISSING[bits] - 1) or 1.0
    codes = np.where(finite, np.rint((np.where(finite, values, low) - low) / step), MISSING[bits])
    packed = codes.astype(f"<u{bits // 8}").tobytes()
    return {"low": float(low), "step": float(step), "codes": base64.b64encode(packed).decode()}


def restore(grid: Mapping[str, object], *, bits: int = 8) -> np.ndarray:
    """The numbers of ``quantise``, in one row; NaN where nothing was measured.

    Home section: *A thousand frames*.
    """
    codes = np.frombuffer(base64.b64decode(grid["codes"]), dtype=f"<u{bits // 8}")
    return np.where(codes == MISSING[bits], np.nan, grid["low"] + grid["step"] * codes)
