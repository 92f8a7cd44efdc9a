"""Training a small VGGT on rendered scenes.

- ``config``: the settings, and the presets: ``mini``, two variants of it, and ``tiny``.
- ``batch`` and ``batches``: rendered scenes for each step, through ``shading`` and, on a GPU, one
  round ``ahead``; ``targets``: what a network should say about them.
- ``losses``: the loss, and errors in plain units.
- ``compilation`` and ``gradients``: those of a batch; ``precision``: how long the numbers are that
  are multiplied.
- ``muon`` and ``optimisation``: one step of the weights.
- ``run``: how far a run has come; ``loop``: the steps; ``checkpoints``: the way on after a stop.
- ``evaluation``: errors on worlds that training has not seen.
- ``session``: a run to its end; ``weights`` and ``outcome``: what it leaves behind.

``python -m attention_collapse.training --preset mini --out DIR`` does it all.
"""

from attention_collapse.training.batch import Batch
from attention_collapse.training.batches import BatchSource
from attention_collapse.training.config import PRESETS, TrainingConfig
from attention_collapse.training.evaluation import mean_predictor_errors, network_errors
from attention_collapse.training.loop import NonFiniteLoss, train
from attention_collapse.training.losses import Errors, errors, loss
from attention_collapse.training.outcome import Outcome
from attention_collapse.training.run import Run
from attention_collapse.training.session import finish
from attention_collapse.training.targets import Targets, reference_targets

__all__ = [
    "PRESETS",
    "Batch",
    "BatchSource",
    "Errors",
    "NonFiniteLoss",
    "Outcome",
    "Run",
    "Targets",
    "TrainingConfig",
    "errors",
    "finish",
    "loss",
    "mean_predictor_errors",
    "network_errors",
    "reference_targets",
    "train",
]
