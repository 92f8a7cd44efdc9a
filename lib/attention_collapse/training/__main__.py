"""Command line: train a preset and keep its weights."""

import argparse
import shlex
import sys
from pathlib import Path

import torch

from attention_collapse import provenance
from attention_collapse.training.config import DEFAULT_STEPS, PRESETS
from attention_collapse.training.loop import NonFiniteLoss
from attention_collapse.training.run import Run
from attention_collapse.training.session import finish

_PROGRAM = "python -m attention_collapse.training"


def main(arguments: list[str] | None = None) -> int:
    """Train a preset and return the exit status.

    Home section: *mini-VGGT*.
    """
    options = _parser().parse_args(arguments)
    steps = DEFAULT_STEPS[options.preset] if options.steps is None else options.steps
    try:
        provenance.check_device(options.device)
        run = Run.open(
            PRESETS[options.preset],
            seed=options.seed,
            steps=steps,
            folder=options.out,
            device=options.device,
            resume=options.resume,
            command=_command(options, steps),
        )
        finish(run, report=_report)
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


def _command(options: argparse.Namespace, steps: int) -> str:
    """The command with all that it leaves to the defaults, and with no path of this machine."""
    words = ["--preset", options.preset, "--steps", str(steps), "--seed", str(options.seed)]
    words += ["--device", options.device]
    resume = " --resume" if options.resume else ""
    return f"{_PROGRAM} {shlex.join(words)}{resume} --out DIR"


def _report(line: object) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
