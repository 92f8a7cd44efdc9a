"""Command line: train a preset and keep its weights."""

import argparse
import dataclasses
import shlex
import sys
import time
from pathlib import Path

import torch

from attention_collapse.training.batches import BatchSource
from attention_collapse.training.config import DEFAULT_STEPS, PRESETS
from attention_collapse.training.evaluation import mean_predictor_errors, network_errors
from attention_collapse.training.loop import NonFiniteLoss, train
from attention_collapse.training.run import Run
from attention_collapse.training.weights import save_record, save_weights
from attention_collapse.vggt import VGGT

_PROGRAM = "python -m attention_collapse.training"

# Worlds of each kind, and batches, of the test errors.
TEST_WORLDS, TEST_BATCHES = 256, 8


def main(arguments: list[str] | None = None) -> int:
    """Train a preset and return the exit status.

    Home section: *mini-VGGT*.
    """
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(given)
    try:
        _check_device(options.device)
        _run(options, shlex.join(["python", "-m", "attention_collapse.training", *given]))
    except (ValueError, NonFiniteLoss) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="mini")
    parser.add_argument("--steps", type=int, help="length of the run")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights and the scenes")
    parser.add_argument(
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="cpu, cuda or cuda:1 (default here: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("trained"),
        help="folder for all that is kept (default: %(default)s)",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    return parser


def _check_device(name: str) -> None:
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device must be one that torch finds, got {name} ({error}); use cpu, or a machine "
            "with that device"
        ) from error


def _run(options: argparse.Namespace, command: str) -> None:
    config = PRESETS[options.preset]
    steps = DEFAULT_STEPS[options.preset] if options.steps is None else options.steps
    run = Run.open(
        config,
        seed=options.seed,
        steps=steps,
        folder=options.out,
        device=options.device,
        resume=options.resume,
        command=command,
    )
    source = _drawn_worlds(run)
    train(run, source.batch, report=_report)
    weights = save_weights(options.out, run.averaged_weights())
    _report(weights)
    _report(save_record(options.out, run, test_errors=_test_errors(run, source, weights)))


def _drawn_worlds(run: Run) -> BatchSource:
    begin = time.monotonic()
    _report(f"drawing {run.config.worlds} rooms and as many corridors")
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
        "network": network_errors(network, tested),
        "mean predictor": mean_predictor_errors(seen, tested),
    }
    return {
        name: {key: float(value) for key, value in vars(result).items()}
        for name, result in results.items()
    }


def _report(line: object) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
