"""Time and memory of the passes over streamed attention, over the number of frames."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from attention_collapse.figures import style

Arrays = Mapping[str, np.ndarray]

PASSES = {
    "rows": "entropy and energy of rows",
    "columns": "column sums",
    "apply": r"$A\Omega$, 64 columns",
    "apply_transposed": r"$A^\top Y$, 64 columns",
    "eager": "entropy from chunks of $A$",
}
"""The stages of ``attention_cost`` that are drawn, and what they give."""

_GIGABYTE = 1e9
_MARKERS = "os^DvP"


def by_stage(runs: Sequence[Arrays], quantity: str) -> dict[str, np.ndarray]:
    """A quantity of each drawn stage over all numbers of frames, NaN where it was left out.

    Args:
        runs: Arrays of records of ``attention_cost``, from few frames to many.
        quantity: ``"seconds"``, ``"peak_bytes"`` or a share of a ceiling.

    Home section: *Measuring collapse*.
    """
    return {
        stage: np.concatenate([run[quantity][:, list(run["stage"]).index(stage)] for run in runs])
        for stage in PASSES
    }


def draw_attention_cost(runs: Sequence[Arrays], spectra: Mapping[int, float]) -> Figure:
    """Seconds beside their floor of one exponential a score; memory beside one head's matrix.

    Args:
        runs: Arrays of records of ``attention_cost``, from few frames to many.
        spectra: Number of frames to the seconds of the leading singular values.

    Home section: *Measuring collapse*.
    """
    figure = style.figure(height=3.5)
    time, memory = figure.subplots(1, 2)
    frames = np.concatenate([run["frames"] for run in runs])
    tokens = np.concatenate([run["tokens"] for run in runs])
    colours = style.sequence(len(PASSES) + 1)
    for axes, quantity, unit in ((time, "seconds", 1), (memory, "peak_bytes", _GIGABYTE)):
        lines = zip(by_stage(runs, quantity).items(), colours, _MARKERS, strict=False)
        for (stage, values), colour, marker in lines:
            axes.plot(frames, values / unit, color=colour, marker=marker, label=PASSES[stage])
    time.plot(list(spectra), list(spectra.values()), color=colours[-1], marker=_MARKERS[-1])
    time.lines[-1].set_label("16 singular values")
    floor = np.concatenate([run["scores"] / run["exponentials_ceiling"] for run in runs])
    time.plot(frames, floor, "--", color=style.REFERENCE, label="one exponential a score")
    memory.plot(
        frames, 4 * tokens**2 / _GIGABYTE, ":", color=style.REFERENCE, label="matrix of one head"
    )
    for axes, label in ((time, "time (s)"), (memory, "peak memory (GB)")):
        axes.loglog()
        axes.set(xlabel="frames", ylabel=label)
        for line in axes.lines:
            line.set_markersize(3.5)
        style.label_logarithm(axes.xaxis)
        style.label_logarithm(axes.yaxis)
    handles = {line.get_label(): line for line in (*time.lines, *memory.lines)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
    return figure
