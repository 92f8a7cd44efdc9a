"""A run from where it stands to its end: worlds, steps, weights, test errors, outcome."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import torch

from attention_collapse import provenance
from attention_collapse.training.batches import BatchSource
from attention_collapse.training.evaluation import mean_predictor_errors, network_errors
from attention_collapse.training.loop import COLUMNS, train
from attention_collapse.training.outcome import Outcome
from attention_collapse.training.precision import product_dtype
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

    Home section: *mini-VGGT*.

    Args:
        run: Where to begin; changed in place.
        report: Called with every line of progress, and with the path of each file.

    Raises:
        NonFiniteLoss: As in ``train``.
        ValueError: A weight leaves the range of float16.
    """
    source = _drawn_worlds(run, report)
    train(run, source.batch, report=report)
    weights = save_weights(run.folder, run.averaged_weights())
    report(weights)
    outcome = Outcome(
        commands=run.commands,
        settings=run.settings,
        time=provenance.utc_now(),
        device=provenance.device_facts(str(run.device)),
        versions=provenance.versions(),
        source_digest=provenance.source_digest(),
        compute_dtype=str(product_dtype(run.device)).removeprefix("torch."),
        tf32=torch.backends.cuda.matmul.allow_tf32,
        seconds=run.seconds,
        test_errors=_test_errors(run, source, weights),
        columns=COLUMNS,
        curve=run.curve,
    )
    report(outcome.save(run.folder))
    return outcome


def _drawn_worlds(run: Run, report: Report) -> BatchSource:
    begin = time.monotonic()
    report(f"drawing {run.config.worlds} rooms and as many corridors")
    source = BatchSource(run.config, seed=run.seed, device=run.device)
    run.seconds += time.monotonic() - begin
    return source


def _test_errors(run: Run, source: BatchSource, weights: Path) -> dict[str, dict[str, float]]:
    """Errors on new worlds: of the kept weights, and of the mean of training."""
    fewer = dataclasses.replace(run.config, worlds=min(run.config.worlds, TEST_WORLDS))
    unseen = BatchSource(fewer, seed=run.seed, device=run.device, test=True)
    tested = [unseen.batch(step) for step in range(TEST_BATCHES)]
    seen = [source.batch(step) for step in range(TEST_BATCHES)]
    network = VGGT.from_checkpoint(
        weights, run.config.network, device=run.device, dtype=torch.float32
    )
    results = {
        NETWORK: network_errors(network, tested),
        MEAN_PREDICTOR: mean_predictor_errors(seen, tested),
    }
    return {
        name: {key: float(value) for key, value in vars(result).items()}
        for name, result in results.items()
    }
