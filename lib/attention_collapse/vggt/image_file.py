"""Image files: any picture that Pillow reads, as upright 8-bit red, green and blue."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# 16-bit grey over 8-bit grey: 65535 / 255.
SIXTEEN_BIT_STEP = 257

# Modes of 32-bit pixels; nothing in the file says which values are black and white.
UNSCALED_MODES = ("I", "F")

WHITE = (255, 255, 255, 255)

# Enough of a file to see what it is.
BEGINNING = 512


def read_image(path: str | os.PathLike[str]) -> Image.Image:
    """The picture in a file, as a viewer shows it: upright, opaque, 8-bit RGB.

    - The orientation that a camera wrote into the file is applied. VGGT's own loader ignores it
      and shows the network such photographs on their side.
    - Transparent pixels are laid over white.
    - Palettes, CMYK and grey of 1, 8 and 16 bits are converted, 16 bits by rounding. Colour
      profiles are not applied.
    - Of a file with several pictures the first is read.

    Args:
        path: The file.

    Raises:
        ValueError: There is no such file, it is empty or damaged, it holds something else than a
            picture, 32-bit pixels, or more pixels than ``PIL.Image.MAX_IMAGE_PIXELS``.

    Home section: *The phenomenon*.
    """
    file = Path(path)
    _require_content(file)
    with _named_errors(file), _open(file) as image:
        upright = ImageOps.exif_transpose(image)
    _require_scale(file, upright)
    with _named_errors(file):
        return _opaque(upright)


@contextmanager
def _named_errors(file: Path) -> Iterator[None]:
    """A context in which every error of Pillow becomes one that names the file and the fix."""
    try:
        yield
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{file} has more pixels than is safe to decode ({error}); make the picture smaller, "
            "or raise PIL.Image.MAX_IMAGE_PIXELS if you trust the file"
        ) from error
    except UnidentifiedImageError as error:
        raise ValueError(
            f"{file} is not a picture that Pillow can read; {_advice(file)}"
        ) from error
    # Decoders of damaged files raise errors of many types.
    except Exception as error:
        raise ValueError(
            f"{file} cannot be decoded ({error}); the file is damaged or of a rare kind: fetch it "
            "again or save it as PNG"
        ) from error


def _require_content(file: Path) -> None:
    if file.is_dir():
        raise ValueError(
            f"{file} is a folder, not an image file; pass its files, as in "
            f"sorted(Path({str(file)!r}).glob('*.png'))"
        )
    if not file.is_file():
        raise ValueError(
            f"there is no file {file}; check the path, relative paths start at {Path.cwd()}"
        )
    if file.stat().st_size == 0:
        raise ValueError(f"{file} is empty; fetch or write it again")


def _open(file: Path) -> Image.Image:
    """The file opened, its size known and its pixels not yet decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(file)


def _advice(file: Path) -> str:
    with file.open("rb") as stream:
        beginning = stream.read(BEGINNING).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if beginning.startswith((b"<!doctype html", b"<html")):
        return "it holds a web page, so the download failed: fetch the picture itself"
    return "save it as PNG or JPEG"


def _require_scale(file: Path, image: Image.Image) -> None:
    if image.mode in UNSCALED_MODES:
        raise ValueError(
            f"{file} has 32-bit pixels (mode {image.mode!r}), and no file says which of their "
            "values are black and white; scale them to 8 or 16 bits and save it again"
        )


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow's own conversion to 8 bits cuts off at 255.
        shades = np.rint(np.asarray(image) / SIXTEEN_BIT_STEP).astype(np.uint8)
        return Image.fromarray(shades).convert("RGB")
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), coloured)
    return image.convert("RGB")
