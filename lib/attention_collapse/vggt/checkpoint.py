"""Checkpoints: weights from a file into a network, strictly by name and shape."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from attention_collapse.vggt.checkpoint_file import CheckpointError, map_checkpoint

logger = logging.getLogger(__name__)

# A mapped file gives its pages back when it is opened anew: with groups of this size the pages
# of a 5 GB file never add up beside the weights read from them.
TENSORS_PER_OPENING = 64

NAMES_SHOWN = 10


def load_checkpoint(
    network: nn.Module,
    path: Path | str,
    *,
    device: torch.device | str = "cpu",
    left_out: Sequence[str] = (),
) -> None:
    """Give a network the weights of a checkpoint, read one by one onto the device.

    The parameters are replaced, so those of a network made under ``torch.device("meta")`` never
    take memory. Each weight is converted to the number format that the network's parameter has,
    and exists once: the file stays on the disk. Names and shapes are compared before any weight is
    read, and nothing in the network changes unless the whole checkpoint fits.

    Args:
        network: The network; its other tensors are moved to ``device``.
        path: A safetensors file, or an archive of ``torch.save`` that holds a state dict.
        device: Where the weights go.
        left_out: Beginnings of names in the checkpoint that the network knows of and has no part
            for. How many entries were left out is logged.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is damaged or holds something else, names or shapes differ from
            the network's, or a weight is not a finite floating-point number in the network's
            format.

    Home section: *Notation*.
    """
    path, wanted = Path(path), network.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in map_checkpoint(path).items()}
    _report_left_out(path, shapes, left_out)
    present = {name: s for name, s in shapes.items() if not name.startswith(tuple(left_out))}
    _require_fit(path, present, {name: tuple(tensor.shape) for name, tensor in wanted.items()})
    weights = _read(path, {name: wanted[name].dtype for name in present}, device)
    network.load_state_dict(weights, strict=True, assign=True)
    network.to(device)


def _read(
    path: Path, formats: Mapping[str, torch.dtype], device: torch.device | str
) -> dict[str, Tensor]:
    names, weights = list(formats), {}
    for start in range(0, len(names), TENSORS_PER_OPENING):
        group = names[start : start + TENSORS_PER_OPENING]
        weights |= _read_group(path, {name: formats[name] for name in group}, device)
    return weights


def _read_group(
    path: Path, formats: Mapping[str, torch.dtype], device: torch.device | str
) -> dict[str, Tensor]:
    mapped, weights = map_checkpoint(path), {}
    for name, dtype in formats.items():
        if not mapped[name].is_floating_point():
            raise CheckpointError(
                f"{name} in {path} must hold floating-point numbers, got {mapped[name].dtype}; "
                "use the checkpoint that is not quantised"
            )
        weights[name] = mapped[name].to(device=device, dtype=dtype, copy=True)
        _require_finite(path, name, weights[name])
    return weights


def _require_finite(path: Path, name: str, weight: Tensor) -> None:
    # The extremes are NaN where any number is, and cost a fraction of a test of each.
    if weight.numel() and not torch.stack(weight.aminmax()).isfinite().all():
        raise CheckpointError(
            f"{name} in {path} has numbers that are not finite in {weight.dtype}; "
            "the file is damaged, or float32 is needed"
        )


def _report_left_out(
    path: Path, shapes: Mapping[str, tuple[int, ...]], left_out: Sequence[str]
) -> None:
    for beginning in left_out:
        count = sum(name.startswith(beginning) for name in shapes)
        if count:
            logger.info(
                "%s: %d entries %s* are left out; the network has no such part",
                path,
                count,
                beginning,
            )


def _require_fit(
    path: Path,
    present: Mapping[str, tuple[int, ...]],
    wanted: Mapping[str, tuple[int, ...]],
) -> None:
    """Refuse a checkpoint whose names and shapes are not exactly the network's."""
    faults = {
        "missing": [
            f"{name} {list(shape)}" for name, shape in wanted.items() if name not in present
        ],
        "unknown": [
            f"{name} {list(shape)}" for name, shape in present.items() if name not in wanted
        ],
        "of another shape": [
            f"{name} {list(present[name])} for {list(shape)} in the network"
            for name, shape in wanted.items()
            if present.get(name, shape) != shape
        ],
    }
    found = [_listing(kind, entries) for kind, entries in faults.items() if entries]
    if found:
        raise CheckpointError(
            f"{path} does not fit the network; make the network with the sizes of the checkpoint\n"
            + "\n".join(found)
        )


def _listing(kind: str, entries: list[str]) -> str:
    lines = [f"  {entry}" for entry in entries[:NAMES_SHOWN]]
    more = len(entries) - NAMES_SHOWN
    if more > 0:
        lines.append(f"  and {more} more")
    return "\n".join([f"{len(entries)} {kind}:", *lines])
