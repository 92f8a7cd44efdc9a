"""Statistics of many layers and numbers of frames as the arrays of one record."""

from collections.abc import Sequence

import numpy as np

from attention_collapse.experiments.closed_forms import gaussian_forms
from attention_collapse.measure.attention_summary import Summary

_LAYER = ("frame_count", "layer")
_HEAD = (*_LAYER, "head")
_SPECTRUM = ("frame_count", "spectrum_layer", "head")

AXES = {
    "frames": ("frame_count",),
    "spectrum_layers": ("spectrum_layer",),
    "heads": ("head",),
    "quantiles": ("quantile",),
    "row_entropy": _HEAD,
    "row_entropy_quantiles": (*_HEAD, "quantile"),
    "entropy_deficit": _HEAD,
    "predicted_entropy_deficit": _HEAD,
    "column_entropy": _HEAD,
    "largest_column": _HEAD,
    "frobenius_squared": _HEAD,
    "distance_from_rank_one": _HEAD,
    "reference_mass": _HEAD,
    "own_frame_mass": _HEAD,
    "score_variance": _HEAD,
    "largest_sharpness": _HEAD,
    "predicted_singular_ratio": _HEAD,
    "predicted_stable_rank": _HEAD,
    "mean_cosine": _LAYER,
    "participation_ratio": _LAYER,
    "spread": _LAYER,
    "singular_values": (*_SPECTRUM, "value"),
    "singular_value_errors": (*_SPECTRUM, "value"),
    "singular_value_floor": _SPECTRUM,
    "singular_ratio": _SPECTRUM,
    "stable_rank": _SPECTRUM,
    "attention_participation_ratio": _SPECTRUM,
    "attention_participation_error": _SPECTRUM,
    "energy_effective_rank": _SPECTRUM,
    "energy_effective_rank_error": _SPECTRUM,
}
"""Every array of a record and the names of its axes."""

_IN_NATS = [name for name in AXES if "entropy" in name]
UNITS = dict.fromkeys(AXES, "1") | dict.fromkeys(_IN_NATS, "nat") | {"frames": "frame"}
"""Their units."""


def layer_arrays(
    rows: Sequence[Sequence[Summary]], spectrum_layers: Sequence[int]
) -> dict[str, np.ndarray]:
    """The statistics that every layer has, then those of the layers whose spectrum is known.

    Args:
        rows: Statistics by number of frames and layer.
        spectrum_layers: Layers whose spectrum is among them.

    Home section: *A thousand frames*.
    """
    layers = [[_with_closed_forms(summary) for summary in row] for row in rows]
    chosen = [[row[layer] for layer in spectrum_layers] for row in layers]
    return {
        name: _stacked(chosen if axes[:2] == _SPECTRUM[:2] else layers, name)
        for name, axes in AXES.items()
        if axes[:2] in (_LAYER, _SPECTRUM[:2]) and name in chosen[0][0]
    }


def _stacked(layers: Sequence[Sequence[dict[str, np.ndarray]]], name: str) -> np.ndarray:
    return np.stack([np.stack([layer[name] for layer in row]) for row in layers])


def _with_closed_forms(summary: Summary) -> dict[str, np.ndarray]:
    """The statistics as arrays; the sharpness only in what it predicts and its largest entry."""
    arrays = {name: tensor.numpy() for name, tensor in summary.items()}
    sharpness = arrays.pop("sharpness")
    arrays["largest_sharpness"] = sharpness.max(axis=-1)
    return arrays | gaussian_forms(sharpness, arrays["score_variance"])
