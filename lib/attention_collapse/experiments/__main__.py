"""Command line: list | run | package | canary | status.

Exit status: 0 done; 1 a canary moved, a record is not current, or memory or another process gave
way; 2 refused; 75 a long run has layers left and goes on by the same command; 130 interrupted.
"""

import argparse
import dataclasses
import inspect
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from attention_collapse import provenance, records
from attention_collapse.experiments.experiment import (
    EXPERIMENTS,
    Experiment,
    configure,
    find_experiment,
    recompute_canary,
)
from attention_collapse.experiments.scratch import Unfinished
from attention_collapse.experiments.status import CHAPTERS, record_states
from attention_collapse.experiments.training_record import ship_weights, training_record
from attention_collapse.measure.streaming import ShardError, TextBar

_PROGRAM = "python -m attention_collapse.experiments"

FAILED, REFUSED = 1, 2
# That of a failure which passes when the command is given again, and that of an interrupt.
UNFINISHED, INTERRUPTED = 75, 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status, which the module explains.

    Home section: *The phenomenon*.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except Unfinished as message:
        print(message)
        return UNFINISHED
    except KeyboardInterrupt:
        print("interrupted: a run with --scratch goes on by the same command", file=sys.stderr)
        return INTERRUPTED
    except (MemoryError, ShardError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except (ValueError, LookupError, FileExistsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return REFUSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    listing = commands.add_parser("list", help="name the experiments and their settings")
    listing.set_defaults(command=_list)

    run = commands.add_parser("run", help="measure and write a record")
    run.add_argument("experiment")
    run.add_argument("--what", default="default", help="name of this setting, for the file name")
    run.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1")
    run.add_argument(
        "--out",
        type=Path,
        default=Path("measured"),
        help="folder that receives the record (default: %(default)s)",
    )
    run.add_argument("--scratch", type=Path, help="folder from which a long run goes on")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=JSON",
        help="replace a default, for example --set frames=[2,8]",
    )
    run.set_defaults(command=_run)

    package = commands.add_parser("package", help="make the record of a finished training")
    package.add_argument("folder", type=Path, help="what was given to the training as --out")
    package.add_argument("--what", required=True, help="name of the record, such as mini_seed0")
    package.add_argument("--out", type=Path, default=records.DATA)
    package.add_argument("--weights", type=Path, help="file that receives a copy of the weights")
    package.set_defaults(command=_package)

    canary = commands.add_parser("canary", help="recompute the canary of every record")
    canary.add_argument("--records", type=Path, default=records.DATA)
    canary.set_defaults(command=_canary)

    status = commands.add_parser("status", help="say which records are stale or unused")
    status.add_argument("--records", type=Path, default=records.DATA)
    status.add_argument("--chapters", type=Path, default=CHAPTERS)
    status.set_defaults(command=_status)
    return parser


def _list(options: argparse.Namespace) -> int:
    for name in EXPERIMENTS:
        experiment = find_experiment(name)
        summary = (experiment.__doc__ or "").splitlines()[0]
        print(f"{name} (revision {experiment.REVISION}): {summary}")
        for field in dataclasses.fields(experiment.Config):
            print(f"    {field.name} = {field.default!r}")
    return 0


def _run(options: argparse.Namespace) -> int:
    experiment = find_experiment(options.experiment)
    config = configure(experiment, _settings(options.set))
    records.check_name("what", options.what)
    records.refuse_existing(options.out, options.experiment, options.what)
    provenance.check_device(options.device)
    with TextBar(sys.stderr, patience=0.0) as bar:

        def report(message: str) -> None:
            bar.end()
            _report(message)

        offered = _offered(experiment, options.scratch, bar)
        measurement = experiment.run(config, device=options.device, report=report, **offered)
    _report("canary")
    record = records.Record(
        experiment=options.experiment,
        what=options.what,
        revision=experiment.REVISION,
        config=dataclasses.asdict(config),
        command=_command(options),
        time=provenance.utc_now(),
        device=provenance.device_facts(options.device),
        versions=provenance.versions(),
        source_digest=provenance.source_digest(),
        canary=_take_canary(experiment),
        **{f.name: getattr(measurement, f.name) for f in dataclasses.fields(measurement)},
    )
    path = records.save(record, options.out)
    if hasattr(experiment, "plot"):
        path.with_suffix(".png").write_bytes(experiment.plot(record.arrays))
    print(path)
    return 0


def _package(options: argparse.Namespace) -> int:
    records.check_name("what", options.what)
    records.refuse_existing(options.out, "training", options.what)
    record = training_record(options.folder, options.what)
    if options.weights is not None:
        ship_weights(options.folder, options.weights)
        print(options.weights)
    print(records.save(record, options.out))
    return 0


def _offered(experiment: Experiment, scratch: Path | None, bar: TextBar) -> dict[str, Any]:
    """What the command line has for those experiments that take it."""
    taken = inspect.signature(experiment.run).parameters
    if scratch is not None and "scratch" not in taken:
        raise ValueError(f"an experiment run in one go takes no scratch folder, got {scratch}")
    offered = {"scratch": scratch, "progress": bar}
    return {name: value for name, value in offered.items() if name in taken}


def _take_canary(experiment: Experiment) -> records.Canary:
    settings = dataclasses.asdict(experiment.CANARY)
    values = recompute_canary(experiment, settings)
    return records.Canary(settings, values, experiment.CANARY_TOLERANCE)


def _canary(options: argparse.Namespace) -> int:
    failures = 0
    for path in _existing(options.records):
        record = records.load(path)
        experiment = find_experiment(record.experiment)
        moved = record.canary.differences(recompute_canary(experiment, record.canary.config))
        failures += bool(moved)
        print(f"{'moved' if moved else 'ok':6}{path.parent.name}/{path.stem}")
        for name, difference in moved.items():
            print(f"      {name}: relative difference {difference:.3g}")
    return 1 if failures else 0


def _status(options: argparse.Namespace) -> int:
    _existing(options.records)
    states = list(record_states(options.records, options.chapters))
    for path, state in states:
        print(f"{state:8}{path.parent.name}/{path.stem}")
    return 0 if all(state == "current" for _, state in states) else 1


def _existing(folder: Path) -> list[Path]:
    found = list(records.paths(folder))
    if not found:
        raise ValueError(f"no record below {folder}: name another folder with --records")
    return found


def _settings(assignments: list[str]) -> dict[str, Any]:
    settings = {}
    for assignment in assignments:
        field, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set takes FIELD=JSON, for example frames=[2,8]; got {assignment}")
        try:
            settings[field] = json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(
                f"--set takes FIELD=JSON, for example rotary=false; got {assignment}: {error}"
            ) from error
    return settings


def _command(options: argparse.Namespace) -> str:
    words = ["run", options.experiment, "--what", options.what, "--device", options.device]
    for assignment in options.set:
        words += ["--set", assignment]
    scratch = "" if options.scratch is None else " --scratch SCRATCH"
    return f"{_PROGRAM} {shlex.join(words)}{scratch} --out DIR"


def _report(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
