"""Errors on worlds that training has not seen, beside those of a predictor that is blind."""

from collections.abc import Sequence
from dataclasses import fields, replace

import torch
from torch import Tensor

from attention_collapse.training.batch import Batch
from attention_collapse.training.losses import Errors, errors
from attention_collapse.training.targets import Targets
from attention_collapse.vggt import VGGT


def network_errors(network: VGGT, batches: Sequence[Batch]) -> Errors:
    """Mean errors of a network over batches.

    Home section: *mini-VGGT*.
    """
    return _mean([errors(network.reconstruct(b.images), b.targets) for b in batches])


def mean_predictor_errors(known: Sequence[Batch], batches: Sequence[Batch]) -> Errors:
    """Mean errors of the predictor that gives every frame the mean frame of known batches.

    It has one depth and one point for each pixel position, and one pose.
    Home section: *mini-VGGT*.

    Args:
        known: Where the means are taken, such as batches of training.
        batches: What is predicted.
    """
    means = {
        field.name: torch.cat([getattr(b.targets, field.name).flatten(0, 1) for b in known]).mean(0)
        for field in fields(Targets)
    }
    return _mean([errors(_constant(means, batch.targets), batch.targets) for batch in batches])


def _constant(means: dict[str, Tensor], targets: Targets) -> Targets:
    given = {name: mean.expand_as(getattr(targets, name)) for name, mean in means.items()}
    return replace(targets, **given)


def _mean(rows: Sequence[Errors]) -> Errors:
    return Errors(
        *(
            torch.stack([getattr(row, field.name) for row in rows]).mean()
            for field in fields(Errors)
        )
    )
