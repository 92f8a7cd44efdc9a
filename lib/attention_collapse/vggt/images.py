"""Images for the network: files to one tensor of frames whose sides are multiples of the patch."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from PIL import Image
from torch import Tensor

from attention_collapse.vggt.image_file import read_image

LoadMode = Literal["crop", "pad"]
"""What is done with the height: tall images are cropped, or all are padded to a square."""

Edges = tuple[int, int, int, int]

WHITE = 255


@dataclass(frozen=True)
class ImageBatch:
    """Frames for the network, and which part of each frame is its picture.

    Args:
        images: Red, green and blue in [0, 1].
        content: The edges of the picture in pixels of the frame: the first row and column, and the
            row and column after the last. The rest of the frame is white.
        patch_size: Side of a patch in pixels.

    Home section: *The phenomenon*.
    """

    images: Float[Tensor, "frame 3 height width"]
    content: Int64[Tensor, "frame 4"]
    patch_size: int

    def content_patches(self) -> Bool[Tensor, "frame row column"]:
        """True at the patches that show any of the picture, False at those of padding alone.

        The network attends to padding as to any other patch. Leave these patches out of what is
        measured, and the pixels beyond ``content`` out of what is reconstructed.
        """
        top, left, bottom, right = self.content[:, :, None].unbind(1)
        height, width = self.images.shape[-2:]
        rows = torch.arange(0, height, self.patch_size, device=self.content.device)
        columns = torch.arange(0, width, self.patch_size, device=self.content.device)
        in_rows = (rows + self.patch_size > top) & (rows < bottom)
        in_columns = (columns + self.patch_size > left) & (columns < right)
        return in_rows[:, :, None] & in_columns[:, None, :]


def load_images(
    paths: Sequence[str | os.PathLike[str]],
    *,
    mode: LoadMode = "crop",
    size: int = 518,
    patch_size: int = 14,
) -> ImageBatch:
    """The pictures in image files, resized so that each side is a number of whole patches.

    - ``"crop"``: the width becomes ``size``, the height follows and is rounded to whole patches,
      and rows above and below the middle ``size`` ones are cut off. All files must give one size.
    - ``"pad"``: the longer side becomes ``size``, the other follows and is rounded to whole
      patches, and white is added on both sides up to a square. Files may have any sizes.

    A half number of patches is rounded to the even neighbour. The pixels are resampled by
    Pillow's bicubic filter, as by VGGT's loader; see ``read_image`` for how files are read.

    Args:
        paths: One file for each frame.
        mode: What is done with the height.
        size: Longest side of a frame in pixels.
        patch_size: Side of a patch in pixels.

    Raises:
        ValueError: No path, a file that is not a picture or is too elongated, files of different
            sizes under ``"crop"``, an unknown mode, or a ``size`` that is not whole patches.

    Source: VGGT (arXiv 2503.11651) for sizes and modes. Home section: *The phenomenon*.
    """
    _check(paths, mode, size, patch_size)
    frames, content = [], []
    for path in paths:
        image = read_image(path)
        _require_ratio(path, image, size, patch_size)
        pixels, edges = _frame(image, mode, size, patch_size)
        if frames and pixels.shape != frames[0].shape:
            raise ValueError(_mixed_sizes(paths[0], frames[0].shape, path, pixels.shape))
        frames.append(torch.from_numpy(pixels))
        content.append(edges)
    # Bytes until the end: frames in float32 would be in memory twice.
    stacked = torch.stack(frames).permute(0, 3, 1, 2).contiguous()
    return ImageBatch(stacked.float().div_(255), torch.tensor(content), patch_size)


def resized_shape(
    height: int, width: int, *, mode: LoadMode, size: int, patch_size: int
) -> tuple[int, int]:
    r"""Height and width that a picture is resized to, before cropping or padding.

    The side that becomes ``size`` is :math:`a`, the width in the mode ``"crop"`` and the longer
    side in ``"pad"``. The other side :math:`b` becomes

    .. math:: p \operatorname{round}\Bigl(\frac{b \cdot \text{size}}{a\, p}\Bigr)

    with the patch size :math:`p`, halves to the even neighbour.

    Args:
        height: Rows of the picture.
        width: Columns of the picture.
        mode: As in ``load_images``.
        size: As in ``load_images``.
        patch_size: As in ``load_images``.

    Source: VGGT (arXiv 2503.11651). Home section: *The phenomenon*.
    """
    if mode == "crop" or width >= height:
        return round(height * size / width / patch_size) * patch_size, size
    return size, round(width * size / height / patch_size) * patch_size


def _frame(
    image: Image.Image, mode: LoadMode, size: int, patch_size: int
) -> tuple[UInt8[np.ndarray, "height width 3"], Edges]:
    """The pixels of a frame, and the edges of the picture in it."""
    height, width = resized_shape(
        image.height, image.width, mode=mode, size=size, patch_size=patch_size
    )
    pixels = np.array(image.resize((width, height), Image.Resampling.BICUBIC))
    if mode == "crop":
        start = max(height - size, 0) // 2
        pixels = pixels[start : start + size]
        return pixels, (0, 0, len(pixels), width)
    top, left = (size - height) // 2, (size - width) // 2
    square = np.full((size, size, 3), WHITE, dtype=np.uint8)
    square[top : top + height, left : left + width] = pixels
    return square, (top, left, top + height, left + width)


def _check(
    paths: Sequence[str | os.PathLike[str]], mode: LoadMode, size: int, patch_size: int
) -> None:
    if isinstance(paths, (str, os.PathLike)):
        raise ValueError(f"paths must be a list of files, got the one path {paths}; pass [path]")
    if len(paths) == 0:
        raise ValueError("paths must name at least one image file, got none; is the folder empty?")
    if mode not in get_args(LoadMode):
        raise ValueError(f"no mode is called {mode!r}; use 'crop' or 'pad'")
    if patch_size < 1 or size < 1 or size % patch_size:
        raise ValueError(
            f"size must be a positive multiple of patch_size, got size {size} and patch_size "
            f"{patch_size}; VGGT uses 518 and 14"
        )


def _require_ratio(
    path: str | os.PathLike[str], image: Image.Image, size: int, patch_size: int
) -> None:
    """Refuse pictures whose shorter side would vanish, or whose longer side would fill memory."""
    longer, shorter = max(image.size), min(image.size)
    if 2 * size * shorter <= patch_size * longer:
        raise ValueError(
            f"{path} is too elongated: {image.width} x {image.height} pixels come out less than "
            f"half a patch thick when the longer side has {size}; cut the picture into pieces"
        )


def _mixed_sizes(
    first: str | os.PathLike[str],
    first_shape: Sequence[int],
    other: str | os.PathLike[str],
    other_shape: Sequence[int],
) -> str:
    return (
        f"all frames must have one height and width, but {first} gives {first_shape[0]} x "
        f"{first_shape[1]} and {other} gives {other_shape[0]} x {other_shape[1]}; load them with "
        "mode='pad', or crop the pictures to one ratio of height and width"
    )
