import re

import numpy as np
import pytest
from PIL import Image

from attention_collapse.vggt.image_file import read_image

ORIENTATION = 0x0112

RED, GREEN = (255, 0, 0), (0, 255, 0)


@pytest.fixture
def written(tmp_path):
    """Writes an image to a file and gives its path."""

    def write(image: Image.Image, name: str = "image.png", **options):
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return write


def pixels(path) -> np.ndarray:
    image = read_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def test_colours_are_kept_and_a_path_may_be_text(written):
    colours = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert np.array_equal(pixels(str(written(Image.fromarray(colours)))), colours)


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("RGBA", (255, 0, 0, 255), RED),
        ("RGBA", (255, 0, 0, 51), (255, 204, 204)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("LA", (0, 51), (204, 204, 204)),
    ],
)
def test_pixels_become_red_green_and_blue_over_white(written, mode, value, expected):
    assert np.array_equal(pixels(written(Image.new(mode, (2, 1), value)))[0], [expected] * 2)


def test_palette_and_its_transparent_entry(written):
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *GREEN])
    image.putpixel((1, 0), 1)
    assert pixels(written(image))[0].tolist() == [[*RED], [*GREEN]]
    assert pixels(written(image, transparency=1))[0].tolist() == [[*RED], [255, 255, 255]]


def test_transparent_colour_of_an_opaque_format_is_white(written):
    path = written(Image.new("RGB", (1, 1), RED), transparency=RED)
    assert pixels(path)[0].tolist() == [[255, 255, 255]]


def test_cmyk(written):
    path = written(Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "image.tif")
    assert pixels(path)[0].tolist() == [[*RED]]


@pytest.mark.parametrize("name", ["image.png", "image.tif"])
def test_sixteen_bits_are_scaled_not_cut_off(written, name):
    shades = np.array([[0, 128, 129, 257, 32768, 65535]], dtype=np.uint16)
    values = pixels(written(Image.fromarray(shades), name))
    assert values[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert (values == values[..., :1]).all()


# What the first two pixels of the first column are for each way that a camera can be held.
@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(1, "ab"), (2, "ba"), (3, "dc"), (4, "cd"), (5, "ac"), (6, "ca"), (7, "db"), (8, "bd")],
)
def test_pictures_are_upright(written, orientation, corner):
    names = {"a": 10, "b": 20, "c": 30, "d": 40}
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(np.array([[10, 20], [30, 40]], dtype=np.uint8))
    values = pixels(written(stored, exif=exif))
    assert values[0, :, 0].tolist() == [names[name] for name in corner]


def test_first_picture_of_several(written):
    frames = [Image.new("RGB", (2, 2), colour) for colour in (RED, GREEN)]
    path = written(frames[0], "image.gif", save_all=True, append_images=frames[1:])
    assert pixels(path)[0, 0].tolist() == [*RED]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_without_a_scale_are_refused(written, mode):
    path = written(Image.new(mode, (2, 2)), "image.tif")
    message = f"{path} has 32-bit pixels (mode '{mode}'), and no file says which of their values"
    with pytest.raises(ValueError, match=re.escape(message)):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; fetch or write it again"),
        (b"\n<!DOCTYPE html><title>404", "it holds a web page, so the download failed: fetch"),
        (b"<HTML lang=en>", "it holds a web page, so the download failed"),
        (b"some text", "is not a picture that Pillow can read; save it as PNG or JPEG"),
    ],
)
def test_files_without_a_picture_are_refused(tmp_path, content, message):
    path = tmp_path / "image.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(path)) + ".*" + message):
        read_image(path)


@pytest.mark.parametrize("name", ["image.png", "image.jpg", "image.tif"])
def test_files_cut_short_are_refused(written, name):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    path = written(Image.fromarray(noise), name)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    message = re.escape(str(path)) + r" (cannot be decoded \(.+\); the file is|is not a picture)"
    with pytest.raises(ValueError, match=message):
        read_image(path)


def test_a_damaged_file_is_refused(written):
    path = written(Image.new("RGB", (40, 40), RED))
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 8] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{path} cannot be decoded (")):
        read_image(path)


@pytest.mark.parametrize("limit", [99, 49])
def test_a_picture_too_large_to_decode_is_refused(written, monkeypatch, limit):
    path = written(Image.new("RGB", (10, 10)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    message = re.escape(f"{path} has more pixels than is safe to decode (Image size (100 pixels)")
    with pytest.raises(ValueError, match=message + ".*raise PIL.Image.MAX_IMAGE_PIXELS if you"):
        read_image(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=re.escape(f"there is no file {tmp_path / 'no.png'}; ")):
        read_image(tmp_path / "no.png")


def test_a_folder_is_refused(tmp_path):
    message = f"{tmp_path} is a folder, not an image file; pass its files, as in sorted(Path("
    with pytest.raises(ValueError, match=re.escape(message)):
        read_image(tmp_path)
