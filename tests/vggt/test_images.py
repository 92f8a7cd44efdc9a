import re
import runpy

import numpy as np
import pytest
import torch
from PIL import Image

from attention_collapse.vggt import images
from attention_collapse.vggt.images import load_images, resized_shape

SMALL = {"size": 28, "patch_size": 14}


@pytest.fixture
def written(tmp_path):
    """Writes noise of a height and a width to a file; the path and the pixels."""

    def write(height: int, width: int, name: str = "image.png"):
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / name)
        return tmp_path / name, torch.from_numpy(noise).permute(2, 0, 1) / 255

    return write


# Sizes that VGGT's own loader gives.
@pytest.mark.parametrize(
    ("height", "width", "mode", "expected"),
    [
        (480, 640, "crop", (392, 518)),
        (1080, 1920, "crop", (294, 518)),
        (343, 518, "crop", (336, 518)),  # 24.5 patches
        (21, 37, "crop", (294, 518)),
        (837, 1000, "crop", (434, 518)),
        (640, 480, "crop", (686, 518)),
        (640, 480, "pad", (518, 392)),
        (1080, 1920, "pad", (294, 518)),
        (512, 512, "pad", (518, 518)),
    ],
)
def test_pictures_are_resized_to_whole_patches(height, width, mode, expected):
    assert resized_shape(height, width, mode=mode, size=518, patch_size=14) == expected


def test_halves_go_to_the_even_number_of_patches():
    sizes = [resized_shape(rows, 28, mode="crop", **SMALL)[0] for rows in (7, 21, 35, 49)]
    assert sizes == [0, 28, 28, 56]


@pytest.mark.parametrize("mode", ["crop", "pad"])
def test_pixels_that_fit_are_kept(written, mode):
    path, pixels = written(28, 28)
    batch = load_images([path, path], mode=mode, **SMALL)
    assert torch.equal(batch.images, pixels.expand(2, 3, 28, 28))
    assert batch.images.is_contiguous()
    assert batch.content.tolist() == [[0, 0, 28, 28]] * 2
    assert batch.content_patches().all()


def test_pixels_are_resampled_by_bicubic_interpolation(written):
    path, _ = written(20, 30)
    with Image.open(path) as image:
        expected = np.asarray(image.resize((28, 14), Image.Resampling.BICUBIC)) / np.float32(255)
    loaded = load_images([path], **SMALL).images
    assert torch.equal(loaded[0].permute(1, 2, 0), torch.from_numpy(expected))


def test_tall_pictures_keep_their_middle_rows(written):
    path, pixels = written(56, 28)
    batch = load_images([path], **SMALL)
    assert torch.equal(batch.images[0], pixels[:, 14:42])
    assert batch.content.tolist() == [[0, 0, 28, 28]]


@pytest.mark.parametrize(
    ("shape", "edges", "patches"),
    [
        ((14, 42), (14, 0, 28, 42), [[0, 0, 0], [1, 1, 1], [0, 0, 0]]),
        ((28, 42), (7, 0, 35, 42), [[1, 1, 1], [1, 1, 1], [1, 1, 1]]),
        ((42, 14), (0, 14, 42, 28), [[0, 1, 0], [0, 1, 0], [0, 1, 0]]),
    ],
)
def test_padding_is_white_and_marked(written, shape, edges, patches):
    path, pixels = written(*shape)
    batch = load_images([path], mode="pad", size=42, patch_size=14)
    top, left, bottom, right = edges
    expected = torch.ones(3, 42, 42)
    expected[:, top:bottom, left:right] = pixels
    assert torch.equal(batch.images[0], expected)
    assert batch.content.tolist() == [list(edges)]
    assert batch.content_patches()[0].tolist() == [[bool(cell) for cell in row] for row in patches]


def test_odd_padding_leaves_the_larger_half_below(written):
    batch = load_images([written(3, 9)[0]], mode="pad", size=9, patch_size=3)
    assert batch.content.tolist() == [[3, 0, 6, 9]]
    batch = load_images([written(6, 15)[0]], mode="pad", size=15, patch_size=3)
    assert batch.content.tolist() == [[4, 0, 10, 15]]


def test_padded_frames_of_several_sizes_are_marked_one_by_one(written):
    paths = [written(14, 42, "wide.png")[0], written(42, 14, "tall.png")[0]]
    batch = load_images(paths, mode="pad", size=42, patch_size=14)
    assert batch.images.shape == (2, 3, 42, 42)
    middle = torch.tensor([False, True, False])
    assert torch.equal(batch.content_patches()[0], middle[:, None].expand(3, 3))
    assert torch.equal(batch.content_patches()[1], middle.expand(3, 3))


def test_cropped_frames_of_several_sizes_are_refused(written):
    (first, _), (other, _) = written(28, 28, "square.png"), written(14, 28, "wide.png")
    message = f"but {first} gives 28 x 28 and {other} gives 14 x 28; load them with mode='pad'"
    with pytest.raises(ValueError, match=re.escape(message)):
        load_images([first, first, other], **SMALL)


def test_the_one_bad_file_of_a_folder_is_named(written, tmp_path):
    for name in ("1.png", "3.png"):
        written(28, 28, name)
    bad = tmp_path / "2.png"
    bad.write_text("<html>not found</html>")
    with pytest.raises(ValueError, match=re.escape(f"{bad} is not a picture")):
        load_images(sorted(tmp_path.iterdir()), **SMALL)


@pytest.mark.parametrize("mode", ["crop", "pad"])
@pytest.mark.parametrize("shape", [(1, 4), (4, 1)])
def test_pictures_too_thin_for_a_patch_are_refused(written, shape, mode):
    path, _ = written(*shape)
    message = re.escape(f"{path} is too elongated: {shape[1]} x {shape[0]} pixels come out less")
    with pytest.raises(ValueError, match=message):
        load_images([path], mode=mode, **SMALL)


@pytest.mark.parametrize(
    ("paths", "options", "message"),
    [
        ([], {}, "at least one image file, got none; is the folder empty"),
        ("image.png", {}, r"a list of files, got the one path image.png; pass \[path\]"),
        (
            ["image.png"],
            {"size": 30},
            "multiple of patch_size, got size 30 and patch_size 14; VGGT",
        ),
        (["image.png"], {"size": 0}, "multiple of patch_size, got size 0 and patch_size 14"),
        (["image.png"], {"patch_size": -14}, "got size 28 and patch_size -14"),
    ],
)
def test_bad_requests_are_refused_before_any_file_is_read(paths, options, message):
    with pytest.raises(ValueError, match=message):
        load_images(paths, **SMALL | options)


def test_an_unknown_mode_is_refused():
    # Run as a file, the module is free of the tests' type checks, which would refuse it first.
    unchecked = runpy.run_path(images.__file__)["load_images"]
    with pytest.raises(ValueError, match="no mode is called 'square'; use 'crop' or 'pad'"):
        unchecked(["image.png"], mode="square")
