"""Time, memory and efficiency of one forward pass over the number of frames."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from attention_collapse.figures import style

Arrays = Mapping[str, np.ndarray]

NETWORK = -1
"""The last stage of a pass: with the heads."""

_GIGABYTE = 1e9
_MARKERS = "os^D"
_LABELS = {
    "seconds": "time (s)",
    "peak_bytes": "peak memory (GB)",
    "share_of_ceiling": "share of the matrix product's rate",
}


def by_design(runs: Sequence[Arrays], *, stage: int = NETWORK) -> dict[str, Arrays]:
    """Time, memory and efficiency of each design over all its numbers of frames.

    Args:
        runs: Arrays of records of ``forward_cost``, from few frames to many.
        stage: The stage of the pass: 0 ends with the aggregator.

    Returns:
        Design to ``frames``, ``seconds``, ``peak_bytes`` and ``share_of_ceiling``,
        each ``[frame_count]``.

    Home section: *VGGT in one chapter*.
    """
    names = dict.fromkeys(str(name) for run in runs for name in run["designs"])
    return {
        name: _joined([run for run in runs if name in run["designs"]], name, stage)
        for name in names
    }


def _joined(runs: Sequence[Arrays], name: str, stage: int) -> Arrays:
    rows = [list(run["designs"]).index(name) for run in runs]
    lines = {
        quantity: [run[quantity][row, stage] for run, row in zip(runs, rows, strict=True)]
        for quantity in _LABELS
    }
    frames = {"frames": [run["frames"] for run in runs]}
    return {quantity: np.concatenate(parts) for quantity, parts in (frames | lines).items()}


def draw_forward_cost(runs: Mapping[str, Arrays]) -> Figure:
    """One panel each for time, peak memory and share of the ceiling, one line for each run.

    A number of frames that did not fit into the memory leaves a gap.

    Args:
        runs: Name to arrays, as from ``by_design``.

    Home section: *VGGT in one chapter*.
    """
    figure = style.figure(height=3.1)
    panels = dict(zip(_LABELS, figure.subplots(1, len(_LABELS)), strict=True))
    colours = style.sequence(len(runs))
    for (name, arrays), colour, marker in zip(runs.items(), colours, _MARKERS, strict=False):
        for quantity, axes in panels.items():
            values = arrays[quantity] / (_GIGABYTE if quantity == "peak_bytes" else 1)
            line = axes.plot(arrays["frames"], values, color=colour, marker=marker, label=name)
            line[0].set_markersize(3.5)
    for quantity, axes in panels.items():
        axes.set_xscale("log")
        axes.set_yscale("linear" if quantity == "share_of_ceiling" else "log")
        axes.set_xlabel("frames")
        axes.set_ylabel(_LABELS[quantity])
        style.label_logarithm(axes.xaxis, narrow=True)
        if axes.get_yscale() == "log":
            style.label_logarithm(axes.yaxis)
    panels["share_of_ceiling"].set_ylim(0, 1)
    handles, labels = panels["seconds"].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure
