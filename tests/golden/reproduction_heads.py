"""Runs our patch encoder and heads on a fixture, under the fixture's own names."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt.aggregator import Aggregator
from attention_collapse.vggt.camera_head import CameraHead, CameraHeadConfig
from attention_collapse.vggt.dense_head import DenseHead, DenseHeadConfig
from attention_collapse.vggt.patch_encoder import PatchEncoder, PatchEncoderConfig
from golden.fixture_format import Fixture

Tensors = dict[str, Tensor]

# The reference's names of the activations, where they are not ours.
VALUE_ACTIVATIONS = {"inv_log": "inverse_log", "xy_inv_log": "xy_inverse_log"}
CONFIDENCE_ACTIVATIONS = {"expp1": "one_plus_exp", "expp0": "exp"}


def vit(fixture: Fixture, dtype: torch.dtype) -> Tensors:
    config = patch_encoder_config(fixture.settings, fixture.settings)
    encoder = fixture.load(PatchEncoder(config, generator=torch.Generator()), dtype)
    images = fixture.inputs(dtype)["images"]
    stream = encoder.residual_stream(images)
    return {
        "x_norm_patchtokens": encoder(images),
        "x_prenorm": stream,
        **_special_outputs(encoder, stream, "x_norm_clstoken", "x_norm_regtokens"),
    }


def patch_encoder_config(
    settings: dict[str, Any], image_settings: dict[str, Any]
) -> PatchEncoderConfig:
    """The encoder's sizes; those that an aggregator shares with it from ``image_settings``."""
    return PatchEncoderConfig(
        width=image_settings["embed_dim"],
        depth=settings["depth"],
        heads=settings["num_heads"],
        mlp_ratio=float(settings["mlp_ratio"]),
        registers=settings["num_register_tokens"],
        image_size=image_settings["img_size"],
        patch_size=image_settings.get("patch_size", 14),
        layer_scale=settings.get("init_values", 1.0),
    )


def patch_encoder_outputs(network: Aggregator, images: Tensor) -> Tensors:
    """What an aggregator fixture holds of the patch encoder, beyond the aggregator's outputs."""
    encoder = network.patch_embed
    pixels = (images - network.pixel_mean) / network.pixel_std
    stream = encoder.residual_stream(pixels.flatten(0, 1))
    patch_size = encoder.config.patch_size
    rows, columns = (side // patch_size for side in images.shape[-2:])
    return {
        "vit_pos_embed_interpolated": encoder.position_table(rows, columns),
        **_special_outputs(encoder, stream, "vit_cls", "vit_reg"),
    }


def _special_outputs(
    encoder: PatchEncoder, stream: Tensor, class_name: str, registers_name: str
) -> Tensors:
    special = encoder.norm(stream[:, : 1 + encoder.config.registers])
    return {class_name: special[:, 0], registers_name: special[:, 1:]}


def camera(fixture: Fixture, dtype: torch.dtype) -> Tensors:
    settings = fixture.settings
    config = CameraHeadConfig(
        width=settings["dim_in"],
        depth=settings["trunk_depth"],
        heads=settings["num_heads"],
        mlp_ratio=float(settings["mlp_ratio"]),
        layer_scale=settings.get("init_values", 0.01),
    )
    head = fixture.load(CameraHead(config, generator=torch.Generator()), dtype)
    camera_tokens = fixture.inputs(dtype)["tokens"][:, :, 0]
    encodings = head(camera_tokens, iterations=settings["num_iterations"])
    return {f"pose_enc.{step}": encoding for step, encoding in enumerate(encodings)}


def dpt(fixture: Fixture, dtype: torch.dtype) -> Tensors:
    head = DenseHead(dense_head_config(fixture), generator=torch.Generator())
    fixture.load(head, dtype)
    inputs, settings = fixture.inputs(dtype), fixture.settings
    layers = [inputs[f"tokens.{layer}"] for layer in settings["intermediate_layer_idx"]]
    _, frames, _, height, width = inputs["images"].shape
    layout = TokenLayout.from_image(
        frames,
        height,
        width,
        patch_size=head.config.patch_size,
        special=settings["patch_start_idx"],
    )
    if settings["feature_only"]:
        return {"features": head.features(layers, layout, chunk=settings["frames_chunk_size"])}
    output = head(layers, layout, chunk=settings["frames_chunk_size"])
    return {"preds": output.values, "conf": output.confidence}


def dense_head_config(fixture: Fixture) -> DenseHeadConfig:
    settings = fixture.settings
    activation, confidence = settings["activation"], settings["conf_activation"]
    return DenseHeadConfig(
        width=settings["dim_in"],
        features=settings["features"],
        projections=tuple(settings["out_channels"]),
        channels=None if settings["feature_only"] else settings["output_dim"] - 1,
        activation=VALUE_ACTIVATIONS.get(activation, activation),
        confidence=CONFIDENCE_ACTIVATIONS.get(confidence, confidence),
        position_map=settings["pos_embed"],
        patch_size=settings.get("patch_size", 14),
        down_ratio=settings["down_ratio"],
    )


REPRODUCTIONS: dict[str, Callable[[Fixture, torch.dtype], Tensors]] = {
    "vit": vit,
    "camera": camera,
    "dpt": dpt,
}
