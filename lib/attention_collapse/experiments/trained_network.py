"""The network of experiments on trained weights: of the book, of a file, or drawn from a seed."""

import hashlib
from pathlib import Path

import torch

from attention_collapse.experiments.layer_steps import check_storage
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import (
    MINI,
    MINI_SCALABLE,
    TINY,
    VGGT,
    VGGTConfig,
    cast_linear_weights,
)
from attention_collapse.vggt.mini import MINI_WEIGHTS

SIZES = {"mini": MINI, "mini_wide": MINI, "mini_scalable": MINI_SCALABLE, "tiny": TINY}
"""Sizes of a network by the name of the preset that trains it."""

PACKAGED, SEED = "packaged", "seed:"

_TYPES = {"float64": torch.float32, "float32": torch.float32, "bfloat16": torch.bfloat16}


def check_network(weights: str, preset: str, storage: str) -> None:
    """Refuse a network that cannot be named so.

    Raises:
        ValueError: if the preset or the number format is another, or the seed is not a number.

    Home section: *mini-VGGT*.
    """
    check_storage(storage)
    if preset not in SIZES:
        raise ValueError(f"preset must be one of {', '.join(SIZES)}, got {preset!r}: name one")
    if weights.startswith(SEED) and not weights.removeprefix(SEED).isdecimal():
        raise ValueError(
            f"a seed of weights is a number, got {weights!r}: write for example seed:0"
        )


def load_network(weights: str, preset: str, *, storage: str, device: str) -> VGGT:
    """A network on a device, as ``layer_steps.random_network`` stores it.

    Args:
        weights: ``packaged`` for those that come with the book, ``seed:0`` for those that nobody
            trained, or the path of a file.
        preset: Name of its sizes.
        storage: One of ``layer_steps.STORAGE``.
        device: Where it runs.

    Raises:
        ValueError: as in ``check_network``, or there is no such file.
        CheckpointError: if the file is damaged or belongs to another network.

    Home section: *mini-VGGT*.
    """
    check_network(weights, preset, storage)
    sizes, path = SIZES[preset], weights_file(weights)
    if path is None:
        network = _drawn(sizes, int(weights.removeprefix(SEED)), storage).to(device)
    else:
        network = VGGT.from_checkpoint(path, sizes, device=device, dtype=_TYPES[storage])
    return (network.double() if storage == "float64" else network).eval()


def weights_file(weights: str) -> Path | None:
    """Where weights are; none has those that are drawn.

    Raises:
        ValueError: if there is no such file.

    Home section: *mini-VGGT*.
    """
    if weights.startswith(SEED):
        return None
    path = MINI_WEIGHTS if weights == PACKAGED else Path(weights)
    if not path.is_file():
        raise ValueError(
            f"weights must be a file, got {weights!r}, which is none: train with python -m "
            "attention_collapse.training --preset mini, or draw them with seed:0"
        )
    return path


def weights_facts(weights: str) -> dict[str, str | None]:
    """What a record says about weights: their name and the SHA-256 of their file.

    Home section: *mini-VGGT*.
    """
    path = weights_file(weights)
    if path is None:
        return {"name": weights, "sha256": None}
    name = PACKAGED if weights == PACKAGED else path.name
    return {"name": name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def image_size(preset: str) -> tuple[int, int]:
    """Height and width of the images that a preset is trained on, pixels.

    Home section: *mini-VGGT*.
    """
    side = SIZES[preset].aggregator.patch_encoder.image_size
    return side, side


def trained_layout(preset: str, frames: int) -> TokenLayout:
    """Where each token of so many frames sits.

    Home section: *mini-VGGT*.
    """
    sizes = SIZES[preset].aggregator
    return TokenLayout.from_image(
        frames,
        *image_size(preset),
        patch_size=sizes.patch_size,
        special=1 + sizes.registers,
    )


def numerics(storage: str, weights: str, **seeds: int | tuple[int, ...]) -> dict[str, object]:
    """Number formats, weights and seeds of a run.

    Home section: *mini-VGGT*.
    """
    return {
        "compute_dtype": storage,
        "storage_dtype": "float64" if storage == "float64" else "float32",
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "seeds": seeds,
        "weights": weights_facts(weights),
    }


def _drawn(sizes: VGGTConfig, seed: int, storage: str) -> VGGT:
    network = VGGT(sizes, generator=torch.Generator().manual_seed(seed))
    if storage == "bfloat16":
        cast_linear_weights(network.aggregator, torch.bfloat16)
    return network
