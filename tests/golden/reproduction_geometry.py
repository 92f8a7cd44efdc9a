"""Runs our poses, unprojection and image loader on a fixture, under the fixture's own names."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from attention_collapse.vggt.images import load_images
from attention_collapse.vggt.pose import (
    decode_pose,
    encode_pose,
    invert_rigid,
    quaternion_from_rotation,
    rotation_from_quaternion,
)
from attention_collapse.vggt.unprojection import unproject as points_of
from golden.fixture_format import Fixture

Tensors = dict[str, Tensor]


def pose(fixture: Fixture, dtype: torch.dtype) -> Tensors:
    inputs = fixture.inputs(dtype)
    height, width = fixture.settings["image_size_hw"]
    cameras = inputs["extrinsics"], inputs["intrinsics"]
    encoding = encode_pose(*cameras, (height, width))
    back = decode_pose(encoding, (height, width))
    raw = decode_pose(inputs["raw_pose_enc"], (height, width))
    inverse = invert_rigid(inputs["extrinsics"][0])
    last_row = torch.tensor([0, 0, 0, 1], dtype=dtype).expand(len(inverse), 1, 4)
    return {
        "pose_enc": encoding,
        "extrinsics_back": back[0],
        "intrinsics_back": back[1],
        "extrinsics_from_raw": raw[0],
        "intrinsics_from_raw": raw[1],
        "quat_special": quaternion_from_rotation(inputs["R_special"]),
        "R_from_quat_unnormalised": rotation_from_quaternion(inputs["quat_unnormalised"]),
        "inverse_se3": torch.cat((inverse, last_row), dim=1),
    }


def unproject(fixture: Fixture, dtype: torch.dtype) -> Tensors:
    inputs = fixture.inputs(dtype)
    points = points_of(inputs["depth"][..., 0], inputs["extrinsics"], inputs["intrinsics"])
    return {"world_points": points.world, "cam_points": points.camera, "valid_mask": points.valid}


def preprocess_sizes(fixture: Fixture, dtype: torch.dtype) -> Tensors:
    """The sizes of what blank images of the fixture's sizes come out as; any type gives these."""
    return dict(_sizes(fixture.settings["rows"]))


def _sizes(rows: list[dict[str, Any]]) -> Iterator[tuple[str, Tensor]]:
    with TemporaryDirectory() as folder:
        for row in rows:
            path = Path(folder, "blank.png")
            Image.new("RGB", (row["width"], row["height"])).save(path, compress_level=1)
            cropped, padded = (load_images([path], mode=mode) for mode in ("crop", "pad"))
            top, left, bottom, right = padded.content[0].tolist()
            height, width = padded.images.shape[-2:]
            sizes = {
                "crop": (1, *cropped.images.shape[-3:]),
                "pad": (1, *padded.images.shape[-3:]),
                "pad_rows_top_bottom": (top, height - bottom),
                "pad_cols_left_right": (left, width - right),
            }
            for key, size in sizes.items():
                yield f"{row['width']}x{row['height']}.{key}", torch.tensor(size)


REPRODUCTIONS: dict[str, Callable[[Fixture, torch.dtype], Tensors]] = {
    "pose": pose,
    "unproject": unproject,
    "preprocess_sizes": preprocess_sizes,
}
