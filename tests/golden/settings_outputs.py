"""Outputs that a fixture holds in its settings, not as tensors."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from attention_collapse.vggt.model import TRACK_HEAD

# Sizes of the two modes that our image loader has; VGGT has a third one.
SIZES = ("crop", "pad", "pad_rows_top_bottom", "pad_cols_left_right")


def image_sizes(settings: dict[str, Any]) -> dict[str, Tensor]:
    """Sizes and padding of each loaded image."""
    return {
        f"{row['width']}x{row['height']}.{key}": torch.tensor(row[key])
        for row in settings["rows"]
        for key in SIZES
    }


def model_weights(settings: dict[str, Any]) -> dict[str, Tensor]:
    """Names and shapes of the weights that our network has, and the parameters of each part."""
    shapes = settings["shapes"]
    read = {name: shape for name, shape in shapes.items() if not name.startswith(TRACK_HEAD)}
    counts = settings["parameters_by_part"]
    parts = {name.split(".")[0] for name in read}
    return named_shapes(read, {part: counts[part] for part in parts}, settings["entries"])


def named_shapes(
    shapes: dict[str, list[int]], parameters: dict[str, int], entries: int
) -> dict[str, Tensor]:
    """Shapes and counts as the tensors that a comparison takes."""
    return {
        **{name: torch.tensor(shape) for name, shape in shapes.items()},
        **{f"parameters.{part}": torch.tensor(count) for part, count in parameters.items()},
        "entries": torch.tensor(entries),
    }


def parameters_by_part(shapes: dict[str, list[int]]) -> dict[str, int]:
    """Parameters of each part of a network."""
    counts: Counter[str] = Counter()
    for name, shape in shapes.items():
        counts[name.split(".")[0]] += torch.Size(shape).numel()
    return counts


def merge_schedules(settings: dict[str, Any]) -> dict[str, Tensor]:
    """Tokens to merge in each layer, by schedule."""
    return {name: torch.tensor(merged) for name, merged in settings["schedules"].items()}


OUTPUTS_IN_SETTINGS: dict[str, Callable[[dict[str, Any]], dict[str, Tensor]]] = {
    "preprocess_sizes": image_sizes,
    "tome_r_schedule": merge_schedules,
    "vggt_full_model_state_dict": model_weights,
}
