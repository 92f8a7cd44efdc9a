"""Save and load records: one JSON file and one NPZ file each, written atomically."""

import dataclasses
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from attention_collapse.records.record import Canary, Record, Timing

DATA = Path(__file__).parent / "data"
SCHEMA = 1


def refuse_existing(folder: Path, experiment: str, what: str) -> None:
    """Refuse to take the record ``what`` of ``experiment`` where ``folder`` has one.

    Raises:
        FileExistsError: if it exists, on whichever device it was taken.

    Home section: *The phenomenon*.
    """
    existing = sorted((folder / experiment).glob(f"{what}__*.json"))
    if existing:
        raise FileExistsError(
            f"{existing[0]} exists; records are never edited: remove it to retake it"
        )


def save(record: Record, folder: Path) -> Path:
    """Write ``record`` below ``folder`` and return the path of its JSON file.

    The NPZ file is complete before the JSON file, which names its SHA-256, appears. A reader
    therefore never sees a record in part, and an interrupted run leaves no record.

    Raises:
        FileExistsError: if that record exists. Records are never edited; remove it first.

    Home section: *The phenomenon*.
    """
    refuse_existing(folder, record.experiment, record.what)
    target = folder / record.experiment / f"{record.stem}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **record.arrays)
    arrays = buffer.getvalue()
    fields = {
        field.name: getattr(record, field.name)
        for field in dataclasses.fields(record)
        if field.name not in ("arrays", "timings", "canary")
    }
    fields["timings"] = {name: dataclasses.asdict(t) for name, t in record.timings.items()}
    fields["canary"] = dataclasses.asdict(record.canary)
    fields["arrays_sha256"] = hashlib.sha256(arrays).hexdigest()
    fields["schema"] = SCHEMA
    text = json.dumps(fields, indent=1, sort_keys=True, allow_nan=False) + "\n"
    _write_atomically(target.with_suffix(".npz"), arrays)
    _write_atomically(target, text.encode())
    return target


def load(path: Path) -> Record:
    """Read the record whose JSON file is ``path``; pickled data is refused.

    Raises:
        ValueError: if the schema is unknown or the NPZ file is missing or not the one recorded.

    Home section: *The phenomenon*.
    """
    fields = json.loads(path.read_text())
    schema = fields.pop("schema", None)
    if schema != SCHEMA:
        raise ValueError(
            f"{path.name} has schema {schema}, this version reads {SCHEMA}: update the package"
        )
    data = path.with_suffix(".npz")
    digest = fields.pop("arrays_sha256")
    if not data.exists() or hashlib.sha256(data.read_bytes()).hexdigest() != digest:
        raise ValueError(
            f"{data.name} is missing or differs from the one recorded: restore both files"
        )
    with np.load(data, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    fields["timings"] = {name: Timing(**timing) for name, timing in fields["timings"].items()}
    fields["canary"] = Canary(**fields["canary"])
    return Record(**fields, arrays=arrays)


def paths(folder: Path = DATA) -> Iterator[Path]:
    """The JSON files of all records below ``folder``, sorted.

    Home section: *The phenomenon*.
    """
    yield from sorted(folder.glob("*/*.json"))


def find(experiment: str, what: str, *, folder: Path = DATA) -> Record:
    """The record of ``experiment`` called ``what``.

    Raises:
        LookupError: unless exactly one record matches; the message lists what there is.

    Home section: *The phenomenon*.
    """
    matches = sorted((folder / experiment).glob(f"{what}__*.json"))
    if len(matches) != 1:
        known = [f"{path.parent.name}/{path.stem}" for path in paths(folder)]
        raise LookupError(
            f"expected one record {experiment}/{what}, found {len(matches)}; there are: {known}"
        )
    return load(matches[0])


def _write_atomically(path: Path, content: bytes) -> None:
    """Write next to ``path``, then rename: the file is whole or absent."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
