"""VGGT: from the images of a scene to its cameras, depth and points."""

from pathlib import Path

import torch
from torch import Tensor, nn

from attention_collapse.vggt.aggregator import Aggregator, AggregatorOutput
from attention_collapse.vggt.camera_head import CameraHead, CameraHeadConfig
from attention_collapse.vggt.checkpoint import load_checkpoint
from attention_collapse.vggt.chunks import FRAME_CHUNK
from attention_collapse.vggt.dense_head import DenseHead, DenseHeadConfig
from attention_collapse.vggt.hub import VGGT_REPOSITORY, download_checkpoint
from attention_collapse.vggt.linear_head import (
    DirectCameraHead,
    DirectCameraHeadConfig,
    LinearHead,
    LinearHeadConfig,
)
from attention_collapse.vggt.model_config import VGGT_1B, VGGTConfig
from attention_collapse.vggt.observation import Observe
from attention_collapse.vggt.pose import decode_pose
from attention_collapse.vggt.precision import cast_linear_weights, compute_dtype
from attention_collapse.vggt.reconstruction import Reconstruction
from attention_collapse.vggt.reduction import Reducer, ReducerOfForward

HEADS = {
    CameraHeadConfig: CameraHead,
    DirectCameraHeadConfig: DirectCameraHead,
    DenseHeadConfig: DenseHead,
    LinearHeadConfig: LinearHead,
}

HEAD_CHUNK = 8
"""Frames at a time in the depth and point heads."""

TRACK_HEAD = "track_head."
"""Beginning of the names of VGGT-1B's head for tracks, which this network has not."""

WEIGHT_TYPES = (torch.float32, torch.bfloat16, torch.float16)


class VGGT(nn.Module):
    r"""Cameras, depth and points of all frames of a scene, in one pass.

    The aggregator turns the images into tokens; of the streams it keeps, the camera head reads the
    camera tokens of the last layer, and the depth and point heads the patch tokens of all. The
    heads compute in float32 or wider, whatever the aggregator stores. No part behaves otherwise in
    training.

    State names are VGGT's: ``aggregator``, ``camera_head``, ``depth_head``, ``point_head``.

    Args:
        config: Sizes.
        generator: Source of the first weights; the same seed gives the same weights.

    Source: VGGT (arXiv 2503.11651), section 3. Home section: *The phenomenon*.
    """

    def __init__(self, config: VGGTConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.aggregator = Aggregator(config.aggregator, generator=generator)
        self.camera_head = _head(config.camera, generator)
        self.depth_head = _head(config.depth, generator)
        self.point_head = _head(config.points, generator)

    @classmethod
    def from_checkpoint(
        cls,
        path: Path | str,
        config: VGGTConfig = VGGT_1B,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> "VGGT":
        """The network with the weights of a checkpoint, read one by one onto the device.

        Entries of a head for tracks are recognised and left out. Any other difference in names or
        shapes is an error.

        Args:
            path: A safetensors file, or an archive of ``torch.save`` that holds a state dict.
            config: Sizes of the network that the weights belong to.
            device: Where the network goes; ``None`` takes CUDA if there is any, else the CPU.
            dtype: Format of the linear maps of the aggregator, float32, bfloat16 or float16;
                ``None`` takes ``compute_dtype`` of the device. All other weights are float32.

        Raises:
            FileNotFoundError: There is no such file.
            CheckpointError: The file is damaged or does not fit the network.
            ValueError: ``dtype`` is another format.
        """
        device = _default_device() if device is None else torch.device(device)
        network = _without_weights(cls, config, compute_dtype(device) if dtype is None else dtype)
        load_checkpoint(network, path, device=device, left_out=(TRACK_HEAD,))
        return network

    @classmethod
    def from_hub(
        cls,
        repository: str = VGGT_REPOSITORY,
        config: VGGTConfig = VGGT_1B,
        *,
        revision: str | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> "VGGT":
        """The network with weights of the Hugging Face Hub; see ``download_checkpoint``.

        The weights of ``facebook/VGGT-1B`` (5 GB) have VGGT's own licence, which allows
        non-commercial use only.

        Args:
            repository: Owner and name of the repository.
            config: Sizes of the network that the weights belong to.
            revision: Branch, tag or commit; ``None`` takes the latest state.
            device: As in ``from_checkpoint``.
            dtype: As in ``from_checkpoint``.

        Raises:
            ImportError: The package ``huggingface_hub`` is missing.
            DownloadError: The file does not exist, needs a permission, or cannot be fetched.
            CheckpointError: The file does not fit the network.
        """
        path = download_checkpoint(repository, revision=revision)
        return cls.from_checkpoint(path, config, device=device, dtype=dtype)

    def forward(
        self,
        images: Tensor,
        *,
        observe: Observe | None = None,
        reducer: Reducer | ReducerOfForward | None = None,
        camera_bias: float = 0.0,
        frame_chunk: int | None = FRAME_CHUNK,
        query_chunk: int | None = None,
    ) -> Reconstruction:
        """The reconstruction of each scene.

        Args:
            images: Pixels in [0, 1], ``[scene frame 3 height width]``, the sides multiples of the
                patch size. The first frame of a scene is its reference frame.
            observe: Called with what is inside the aggregator; see ``Aggregator``.
            reducer: Decides in every global block which tokens attention runs on.
            camera_bias: Added in the camera head to the scores of the first frame, where the head
                attends over frames; the bias of an ``AdjustedScores`` reducer belongs here too.
            frame_chunk: Frames at a time that pass through the norms, linear maps, MLPs and heads;
                ``None`` takes all at once, but for the heads. It bounds the memory, and the result
                is the same up to rounding.
            query_chunk: Queries at a time in the softmax of global blocks, as in ``Aggregator``.

        Raises:
            ValueError: As in ``Aggregator``.
        """
        output = self.aggregator(
            images,
            observe=observe,
            keep=self.config.kept_layers,
            reducer=reducer,
            frame_chunk=frame_chunk,
            query_chunk=query_chunk,
        )
        height, width = images.shape[-2:]
        chunk = min(HEAD_CHUNK, frame_chunk or HEAD_CHUNK)
        return self._read_out(output, (height, width), chunk, camera_bias)

    @torch.inference_mode()
    def reconstruct(
        self,
        images: Tensor,
        *,
        observe: Observe | None = None,
        reducer: Reducer | ReducerOfForward | None = None,
        camera_bias: float = 0.0,
        frame_chunk: int | None = FRAME_CHUNK,
        query_chunk: int | None = None,
    ) -> Reconstruction:
        """The reconstruction of one scene or of several, without recording gradients.

        Args:
            images: As in ``forward``, on any device; the frames of a single scene may come
                without the axis of scenes, ``[frame 3 height width]``, which the result has in any
                case.
            observe: As in ``forward``.
            reducer: As in ``forward``.
            camera_bias: As in ``forward``.
            frame_chunk: As in ``forward``.
            query_chunk: As in ``forward``.

        Raises:
            ValueError: As in ``Aggregator``.
        """
        scenes = images[None] if images.ndim == 4 else images
        scenes = scenes.to(self.aggregator.camera_token.device)
        return self(
            scenes,
            observe=observe,
            reducer=reducer,
            camera_bias=camera_bias,
            frame_chunk=frame_chunk,
            query_chunk=query_chunk,
        )

    def _read_out(
        self, output: AggregatorOutput, image_size: tuple[int, int], chunk: int, camera_bias: float
    ) -> Reconstruction:
        layers = [output.layers.halves(layer) for layer in self.config.kept_layers]
        camera_tokens = torch.cat([stream[:, :, 0] for stream in layers[-1]], dim=-1)
        pose_encoding = self.camera_head(camera_tokens, reference_bias=camera_bias)[-1]
        world_to_camera, intrinsics = decode_pose(pose_encoding, image_size)
        depth = self.depth_head(layers, output.layout, chunk=chunk)
        points = self.point_head(layers, output.layout, chunk=chunk)
        return Reconstruction(
            pose_encoding=pose_encoding,
            world_to_camera=world_to_camera,
            intrinsics=intrinsics,
            depth=depth.values[..., 0],
            depth_confidence=depth.confidence,
            points=points.values,
            points_confidence=points.confidence,
            layout=output.layout,
        )


def _head(config: object, generator: torch.Generator) -> nn.Module:
    return HEADS[type(config)](config, generator=generator)


def _default_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _without_weights(kind: type[VGGT], config: VGGTConfig, dtype: torch.dtype) -> VGGT:
    """A network whose parameters have names, shapes and formats, and no storage."""
    if dtype not in WEIGHT_TYPES:
        raise ValueError(
            f"dtype must be one of {', '.join(map(str, WEIGHT_TYPES))}, got {dtype}; for float64 "
            "call double() on the network"
        )
    generator = torch.Generator()
    with torch.device("meta"):
        network = kind(config, generator=generator)
    cast_linear_weights(network.aggregator, dtype)
    return network
