"""What an aggregator accepts: images, layers to keep, frames at a time."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt.chunks import check_query_chunk
from attention_collapse.vggt.config import AggregatorConfig

# Per-channel mean and standard deviation of ImageNet's pixels in [0, 1], as VGGT was trained with.
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)

# Pixels may leave [0, 1] by this much: the rounding of a resize or of a short number format.
PIXEL_TOLERANCE = 1e-3


def image_layout(images: Tensor, config: AggregatorConfig) -> TokenLayout:
    """Where each token of the images sits, once they are known to be images.

    The check of the pixels reads two numbers back from the device. It is left out where a CUDA
    graph is recorded.

    Raises:
        ValueError: The images have a wrong shape or type, no scene, no frame, a side that is not a
            multiple of the patch size, or a pixel that is not finite or not in [0, 1].

    Home section: *The phenomenon*.
    """
    shape = tuple(images.shape)
    if len(shape) != 5 or shape[2] != 3:
        raise ValueError(
            f"images must have the axes [scene, frame, 3, height, width], got shape {shape}; "
            "a single scene enters as images[None]"
        )
    if 0 in shape[:2]:
        raise ValueError(
            f"images must hold at least one scene and one frame, got shape {shape}; "
            "pass one image or more"
        )
    if not images.is_floating_point():
        raise ValueError(
            f"images must be floating-point numbers in [0, 1], got {images.dtype}; "
            "divide 8-bit pixels by 255"
        )
    _, frames, _, height, width = shape
    layout = TokenLayout.from_image(
        frames, height, width, patch_size=config.patch_size, special=1 + config.registers
    )
    _require_pixels(images)
    return layout


def _require_pixels(images: Float[Tensor, "scene frame 3 image_height image_width"]) -> None:
    # While a CUDA graph is recorded nothing runs, so there are no numbers to look at.
    if images.is_cuda and torch.cuda.is_current_stream_capturing():
        return
    # One pass and one transfer from the device: a NaN goes through the reduction.
    low, high = torch.stack(images.detach().aminmax()).tolist()
    if low >= -PIXEL_TOLERANCE and high <= 1 + PIXEL_TOLERANCE:
        return
    not_finite = int((~images.isfinite()).sum())
    if not_finite:
        raise ValueError(
            f"every pixel must be finite, got {not_finite} that are NaN or infinite; "
            "replace them first"
        )
    raise ValueError(
        f"pixels must lie in [0, 1], got {low:.4g} to {high:.4g}; divide 8-bit pixels by 255, and "
        "do not normalise them: the network does"
    )


def kept_layers(keep: Sequence[int] | None, depth: int) -> frozenset[int]:
    """The layers that a caller asks for; ``None`` asks for all.

    Raises:
        ValueError: A layer does not exist.

    Home section: *The phenomenon*.
    """
    if keep is None:
        return frozenset(range(depth))
    absent = sorted(set(keep).difference(range(depth)))
    if absent:
        raise ValueError(
            f"keep must name layers from 0 to {depth - 1}, got {absent}; "
            f"the last layer is {depth - 1}"
        )
    return frozenset(keep)


def check_chunks(frame_chunk: int | None, query_chunk: int | None) -> None:
    """Refuse a number of frames or queries at a time below 1.

    Raises:
        ValueError: ``frame_chunk`` or ``query_chunk`` is below 1.

    Home section: *The phenomenon*.
    """
    if frame_chunk is not None and frame_chunk < 1:
        raise ValueError(
            f"frame_chunk must be at least 1 frame, got {frame_chunk}; "
            "pass None for all frames at once"
        )
    check_query_chunk(query_chunk)


def per_channel(values: tuple[float, ...]) -> Float[Tensor, "3 1 1"]:
    """One number for each colour of an image, on the device where modules are made.

    Home section: *The phenomenon*.
    """
    # No checkpoint holds these numbers, so a network made on the meta device has them too.
    device = torch.get_default_device()
    place = torch.device("cpu") if device.type == "meta" else device
    return torch.tensor(values, device=place).view(3, 1, 1)
