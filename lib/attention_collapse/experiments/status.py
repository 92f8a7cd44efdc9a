"""Which records still describe the code, and which a chapter cites."""

import re
from collections.abc import Iterator
from pathlib import Path

from attention_collapse import records
from attention_collapse.experiments.experiment import find_experiment

CHAPTERS = Path(__file__).parents[3] / "chapters"
_CITATION = re.compile(r"""find\(\s*\\?["'](\w+)\\?["'],\s*\\?["'](\w+)\\?["']""")


def record_states(folder: Path, chapters: Path) -> Iterator[tuple[Path, str]]:
    """Each record's JSON path with ``"current"``, ``"stale"`` or ``"unused"``.

    A record is stale when its experiment's ``REVISION`` has moved on, and unused when no
    chapter calls ``records.find(experiment, what)`` for it.

    Raises:
        ValueError: if ``chapters`` is not a folder; citations are then unknown.

    Home section: *The phenomenon*.
    """
    if not chapters.is_dir():
        raise ValueError(f"no folder {chapters}: run in a clone, or name it with --chapters")
    cited = _citations(chapters)
    for path in records.paths(folder):
        record = records.load(path)
        if record.revision != find_experiment(record.experiment).REVISION:
            yield path, "stale"
        elif (record.experiment, record.what) not in cited:
            yield path, "unused"
        else:
            yield path, "current"


def _citations(chapters: Path) -> set[tuple[str, str]]:
    notebooks = sorted(chapters.glob("*.ipynb"))
    return {match for path in notebooks for match in _CITATION.findall(path.read_text())}
