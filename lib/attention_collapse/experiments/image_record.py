"""Records of what a network makes of a reader's images, which stay with the reader."""

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from attention_collapse import provenance, records
from attention_collapse.experiments.experiment import Measurement
from attention_collapse.vggt import VGGT


def record_of_images(
    network: VGGT,
    images: Tensor,
    measurement: Measurement,
    *,
    experiment: str,
    what: str,
    revision: int,
    settings: Mapping[str, object],
    command: str,
    canary: records.Canary,
) -> records.Record:
    """A record of what a network made of images, of which it holds the number and size.

    Home section: *The phenomenon*.

    Args:
        network: What was measured, on its device.
        images: Of one scene.
        measurement: What was found.
        experiment: Name of the experiment.
        what: Name of the record.
        revision: Of the experiment.
        settings: What is to be known beside network and images.
        command: The call that measured.
        canary: Of the experiment.
    """
    return records.Record(
        experiment=experiment,
        what=what,
        revision=revision,
        config={
            "network": dataclasses.asdict(network.config),
            "frames": len(images),
            "image_size": list(images.shape[-2:]),
            **settings,
        },
        command=command,
        time=provenance.utc_now(),
        device=provenance.device_facts(str(network.aggregator.camera_token.device)),
        versions=provenance.versions(),
        source_digest=provenance.source_digest(),
        canary=canary,
        **{f.name: getattr(measurement, f.name) for f in dataclasses.fields(measurement)},
    )


def network_numerics(network: VGGT, seeds: dict[str, int]) -> dict[str, object]:
    """Number formats of a network, and the seeds of a measurement with it.

    Home section: *The phenomenon*.
    """
    weight = network.aggregator.global_blocks[0].attn.qkv.weight
    return {
        "compute_dtype": str(weight.dtype).removeprefix("torch."),
        "storage_dtype": str(network.aggregator.camera_token.dtype).removeprefix("torch."),
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "seeds": seeds,
    }
