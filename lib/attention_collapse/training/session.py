"""A run from where it stands to its end: worlds, steps, weights, test errors, outcome."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import torch

from attention_collapse import provenance
from attention_collapse.training.batch import Batch
from attention_collapse.training.batches import BatchSource
from attention_collapse.training.evaluation import mean_predictor_errors, network_errors
from attention_collapse.training.loop import COLUMNS, Gradients, gradients_of, train
from attention_collapse.training.outcome import Outcome
from attention_collapse.training.precision import has_tf32, product_dtype, tf32_products
from attention_collapse.training.run import Run
from attention_collapse.training.weights import save_weights
from attention_collapse.vggt import VGGT

# Worlds of each kind, and batches, of the test errors.
TEST_WORLDS, TEST_BATCHES = 256, 8

NETWORK, MEAN_PREDICTOR = "network", "mean predictor"
"""Whose test errors an outcome has."""

Report = Callable[[object], object]


def finish(run: Run, *, report: Report = print) -> Outcome:
    """Train to the end, and write weights and outcome into the run's folder.

    On a GPU the heads train with products in TF32; they are tested in full float32.
    Home section: *mini-VGGT*.

    Args:
        run: Where to begin; changed in place.
        report: Called with every line of progress, and with the path of each file.

    Raises:
        NonFiniteLoss: As in ``train``.
        ValueError: A weight leaves the range of float16.
    """
    with tf32_products(), ExitStack() as sources:
        source, gradients = _prepared(run, report)
        sources.callback(source.close)
        train(run, source.batch, gradients=gradients, report=report)
        weights = save_weights(run.folder, run.averaged_weights())
        report(weights)
        unseen = _unseen_worlds(run)
        sources.callback(unseen.close)
        batches = [[each.batch(step) for step in range(TEST_BATCHES)] for each in (source, unseen)]
    outcome = Outcome(
        commands=run.commands,
        settings=run.settings,
        time=provenance.utc_now(),
        device=provenance.device_facts(str(run.device)),
        versions=provenance.versions(),
        source_digest=provenance.source_digest(),
        compute_dtype=str(product_dtype(run.device)).removeprefix("torch."),
        tf32=has_tf32(run.device),
        seconds=run.seconds,
        test_errors=_test_errors(run, weights, *batches),
        columns=COLUMNS,
        curve=run.curve,
    )
    report(outcome.save(run.folder))
    return outcome


def _prepared(run: Run, report: Report) -> tuple[BatchSource, Gradients]:
    """The worlds, drawn while what sets the gradients is compiled; the first batch is rendered.

    One thread compiles at a time: rendering is compiled with its first batch, after the gradients.
    """
    begin = time.monotonic()
    compiling = ", compiling meanwhile: a minute" if run.device.type == "cuda" else ""
    report(f"drawing {run.config.worlds} rooms and as many corridors{compiling}")
    with ThreadPoolExecutor(1, thread_name_prefix="worlds") as thread:
        drawn = thread.submit(BatchSource, run.config, seed=run.seed, device=run.device)
        gradients = gradients_of(run)
        source = drawn.result()
    source.batch(run.step)
    run.seconds += time.monotonic() - begin
    return source, gradients


def _unseen_worlds(run: Run) -> BatchSource:
    fewer = dataclasses.replace(run.config, worlds=min(run.config.worlds, TEST_WORLDS))
    return BatchSource(fewer, seed=run.seed, device=run.device, test=True)


def _test_errors(
    run: Run, weights: Path, seen: Sequence[Batch], unseen: Sequence[Batch]
) -> dict[str, dict[str, float]]:
    """Errors on new worlds: of the kept weights, and of the mean of training."""
    network = VGGT.from_checkpoint(
        weights, run.config.network, device=run.device, dtype=torch.float32
    )
    results = {
        NETWORK: network_errors(network, unseen),
        MEAN_PREDICTOR: mean_predictor_errors(seen, unseen),
    }
    return {
        name: {key: float(value) for key, value in vars(result).items()}
        for name, result in results.items()
    }
