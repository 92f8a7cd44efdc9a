"""The spectrum explorer as a still: closed form and sample, attention map, readouts."""

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import entr

from attention_collapse.figures import style
from attention_collapse.theory.spectrum import RankProfile

VALUES_SHOWN = 25
FLOOR = 1e-3  # of the axis of singular values
FOLD = 2  # the attention map saturates at 2**±FOLD times the uniform weight


def spectrum_explorer_png(profile: RankProfile, attention: Float[np.ndarray, "query key"]) -> bytes:
    """PNG of ``draw_spectrum_explorer``, which leaves matplotlib's parameters as they were.

    Args:
        profile: The closed form.
        attention: Attention matrix of a sample.

    Home section: *The rank profile in closed form*.
    """
    with matplotlib.rc_context():
        return style.png(draw_spectrum_explorer(profile, attention))


def draw_spectrum_explorer(
    profile: RankProfile, attention: Float[np.ndarray, "query key"]
) -> Figure:
    """The closed form beside one sample.

    Args:
        profile: The closed form, with as many singular values as are to be drawn.
        attention: Attention matrix of a sample of tokens, rows that sum to one.

    Home section: *The rank profile in closed form*.
    """
    sample = matrix_profile(attention)
    figure = style.figure(height=3.6)
    panels = figure.subplot_mosaic(
        [["values", "map"], ["numbers", "numbers"]], height_ratios=(4, 1)
    )
    _draw_values(panels["values"], profile, sample)
    _draw_attention(panels["map"], attention)
    _write_readouts(panels["numbers"], profile, sample)
    return figure


def matrix_profile(attention: Float[np.ndarray, "query key"]) -> RankProfile:
    """Rank profile of a finite attention matrix, measured.

    Args:
        attention: Rows that sum to one.

    Home section: *The rank profile in closed form*.
    """
    found = np.linalg.svd(attention, compute_uv=False)
    values = found / found[0]
    entropy = float(entr(attention).sum(axis=1).mean())
    return RankProfile(
        singular_values=values,
        singular_ratio=float(values[1]),
        effective_rank=float(np.exp(entr(values / values.sum()).sum())),
        stable_rank=float(values @ values),
        entropy_deficit=float(np.log(len(attention))) - entropy,
    )


def _draw_values(axes: Axes, profile: RankProfile, sample: RankProfile) -> None:
    index = np.arange(1, VALUES_SHOWN + 1)
    values = profile.singular_values[:VALUES_SHOWN]
    drawn = {"ls": "none", "marker": "o"}
    axes.plot(index[: len(values)], values, color=style.THEORY, ms=4, label="closed form", **drawn)
    measured = sample.singular_values[:VALUES_SHOWN]
    label = f"sample of {len(sample.singular_values)} tokens"
    hollow = {"mfc": "none", "mec": style.MEASURED, "ms": 6}
    axes.plot(index[: len(measured)], measured, label=label, **drawn, **hollow)
    axes.set(yscale="log", ylim=(FLOOR, 1.5), xlim=(0.2, VALUES_SHOWN + 0.8))
    axes.set(xlabel="index $n$", ylabel=r"$\sigma_n/\sigma_1$", title="a  Singular values")
    axes.set_xticks([1, 5, 10, 15, 20, 25])
    axes.grid(axis="y")
    axes.legend(loc="upper right", borderaxespad=0, labelspacing=0.3)


def _draw_attention(axes: Axes, attention: Float[np.ndarray, "query key"]) -> None:
    octaves = np.log2(attention * attention.shape[1])
    image = axes.imshow(octaves, cmap=style.CONTRAST, vmin=-FOLD, vmax=FOLD)
    axes.set(xlabel="key token", ylabel="query token", xticks=[], yticks=[])
    axes.set_title("b  Attention in the sample")
    axes.spines[:].set_visible(False)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.9, label="weight over uniform")
    bar.set_ticks([-2, -1, 0, 1, 2], labels=["¼", "½", "1", "2", "4"])
    bar.outline.set_visible(False)


def _write_readouts(axes: Axes, profile: RankProfile, sample: RankProfile) -> None:
    readouts = {
        "$\\sigma_2/\\sigma_1$": "singular_ratio",
        "effective rank": "effective_rank",
        "stable rank": "stable_rank",
        "entropy deficit (nats)": "entropy_deficit",
    }
    axes.set_axis_off()
    for column, (name, attribute) in enumerate(readouts.items()):
        left = column / len(readouts)
        closed, measured = (f"{getattr(each, attribute):#.4g}" for each in (profile, sample))
        axes.text(left, 0.8, name, va="center", size=9)
        axes.text(left, 0.3, closed, va="center", size=15, color=style.THEORY)
        axes.text(left + 0.14, 0.27, measured, va="center", size=10, color=style.MEASURED)
