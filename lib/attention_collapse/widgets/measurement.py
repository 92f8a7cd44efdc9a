"""Measurements that a kernel sends to a widget."""

from collections.abc import Mapping

import numpy as np

from attention_collapse.widgets.base import StateError

REQUIRED = ("depth", "frames", "label", "singular_values")
LAW = ("initial_sharpness", "dilution_frames", "step")
OPTIONAL = ("singular_ratio", "effective_rank", "stable_rank", "heat", *LAW)


def measurement_state(measurement: Mapping[str, object]) -> dict[str, object]:
    """State of one measurement as plain numbers and lists, checked.

    Args:
        measurement: A mapping with ``depth`` (layers), ``frames``, ``label`` (what and where it
            was measured, a few words) and ``singular_values`` (of attention, descending, in any
            unit). Optional: ``singular_ratio``, ``effective_rank``, ``stable_rank``, and ``heat``,
            a square matrix of attention weights. The parameters of the law that it was measured
            under, ``LAW``, are added by the explorer. Arrays and sequences are accepted.

    Raises:
        ValueError: If a key is missing or unknown, or a number is not finite.

    Home section: *The phenomenon*.
    """
    missing = [key for key in REQUIRED if key not in measurement]
    unknown = [key for key in measurement if key not in REQUIRED + OPTIONAL]
    if missing or unknown:
        raise StateError(
            f"a measurement must have the keys {REQUIRED} and may have {OPTIONAL}; got "
            f"{tuple(measurement)}: add {missing} and remove {unknown}."
        )
    state = {key: np.asarray(value) for key, value in measurement.items() if key != "label"}
    for key, value in state.items():
        _require_finite(key, value)
    _require_descending(state["singular_values"])
    return {"label": str(measurement["label"])} | {key: state[key].tolist() for key in state}


def _require_finite(key: str, value: np.ndarray) -> None:
    dimensions = {"singular_values": 1, "initial_sharpness": 1, "heat": 2}.get(key, 0)
    if value.dtype.kind not in "iuf" or value.ndim != dimensions or not np.isfinite(value).all():
        raise StateError(
            f"{key} of a measurement must be finite numbers with {dimensions} axes; got "
            f"{value!r}: convert or drop it."
        )


def _require_descending(values: np.ndarray) -> None:
    if values.size == 0 or values[0] <= 0 or (np.diff(values) > 0).any() or values[-1] < 0:
        raise StateError(
            "singular_values of a measurement must descend from a positive number to one that "
            f"is not negative; got {values.tolist()}: sort them and keep at least one."
        )
