"""The training loop: steps, progress, checkpoints, and a stop when the loss is no number."""

import math
import time
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.training.batch import Batch
from attention_collapse.training.compilation import compile_for_batches, compiled_loss
from attention_collapse.training.gradients import RecordedGradients, set_gradients
from attention_collapse.training.run import Run

COLUMNS = ("step", "loss", "points", "depth", "translation", "rotation")
"""Columns of the curve: steps made, then means over the steps since the line before."""

Gradients = Callable[[Batch], Float[Tensor, "number"]]


class NonFiniteLoss(ArithmeticError):
    """The loss of a step is infinite or not a number, and the run has stopped.

    Home section: *mini-VGGT*.
    """


def gradients_of(run: Run) -> Gradients:
    """What sets the gradients of a batch; on a CUDA device compiled, in about half a minute.

    It is compiled on noise, which can be done before there is a batch. The recordings wait for the
    first batches: what a compiler does in another thread could end one.
    Home section: *mini-VGGT*.

    Args:
        run: The network to train, and the settings.
    """
    config = run.config
    if run.device.type != "cuda":
        return partial(set_gradients, run.network, config=config)
    compile_for_batches(run.network)
    recorded = RecordedGradients(run.network, config, loss=compiled_loss())
    for frames in dict.fromkeys(config.frame_counts):
        scenes = config.batch_frames // frames
        recorded.rehearse(Batch.random(scenes, frames, config.image_size, device=run.device))
    return recorded


def train(
    run: Run,
    batch: Callable[[int], Batch],
    *,
    gradients: Gradients | None = None,
    report: Callable[[str], object] = print,
) -> None:
    """Train to the end of a run, keeping checkpoints in its folder.

    A run depends on its settings, the seed and the number of steps alone. One that was stopped
    and resumed on a CPU ends with the same bits as one that was not.
    Home section: *mini-VGGT*.

    Args:
        run: Where to begin; changed in place.
        batch: The batch of each step, as from ``BatchSource``.
        gradients: From ``gradients_of``, which is called if they are not given.
        report: Called with every line of progress.

    Raises:
        NonFiniteLoss: The loss of a step is not finite. The last checkpoint stays; the run itself
            has gone on with weights that are of no use.
    """
    clock, config = time.monotonic(), run.config
    gradients = gradients or gradients_of(run)
    while run.step < run.steps:
        made = min(config.log_every - run.step % config.log_every, run.steps - run.step)
        _advance(run, batch, gradients, made)
        clock, begun = time.monotonic(), clock
        run.seconds += clock - begun
        report(_line(run, left=(clock - begun) / made * (run.steps - run.step)))
        if run.step % config.checkpoint_every == 0 or run.step == run.steps:
            run.save()


def _advance(run: Run, batch: Callable[[int], Batch], gradients: Gradients, made: int) -> None:
    """Make some steps, then look at their losses all at once."""
    numbers = []
    for step in range(run.step, run.step + made):
        numbers.append(gradients(batch(step)))
        run.optimisation.step(step)
    rows = torch.stack(numbers).double().cpu()
    finite = rows[:, 0].isfinite()
    if not finite.all():
        bad = int((~finite).int().argmax())
        raise NonFiniteLoss(
            f"the loss must be finite, got {rows[bad, 0]:g} at step {run.step + bad}; the last "
            f"good checkpoint is in {run.folder}, if there is one: lower the step sizes and start "
            "anew"
        )
    run.step += made
    run.curve.append([float(run.step), *rows.mean(0).tolist()])


def _line(run: Run, *, left: float) -> str:
    step, value, points, depth, translation, rotation = run.curve[-1]
    minutes, seconds = divmod(math.ceil(left), 60)
    return (
        f"step {step:.0f}/{run.steps}  loss {value:.4f}  points {points:.4f}  depth {depth:.4f}  "
        f"translation {translation:.4f}  rotation {rotation:.2f} deg  left {minutes}:{seconds:02d}"
    )
