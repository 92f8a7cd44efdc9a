"""What the global layers of a network show about collapse, one head in memory at a time."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.experiments.experiment import Report, silent
from attention_collapse.experiments.random_weights import token_statistics
from attention_collapse.measure import attention_maps
from attention_collapse.measure.leading_values import leading_singular_values
from attention_collapse.measure.spectrum import distance_from_rank_one
from attention_collapse.measure.spread import covariance_eigenvalues
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import AggregatorConfig, Watch
from attention_collapse.vggt.observation import attention_weights

# Draws the columns with which the search for singular values starts.
SEARCH_SEED = 0

_HEAD_AXES, _TOKEN_AXES = ("layer", "head"), ("layer",)
AXES = {
    "entropy_deficit": _HEAD_AXES,
    "singular_ratio": _HEAD_AXES,
    "singular_ratio_error": _HEAD_AXES,
    "stable_rank": _HEAD_AXES,
    "distance_from_rank_one": _HEAD_AXES,
    "reference_mass": _HEAD_AXES,
    "frame_mass": (*_HEAD_AXES, "query_frame", "key_frame"),
    "mean_cosine": _TOKEN_AXES,
    "participation_ratio": _TOKEN_AXES,
    "spread": _TOKEN_AXES,
    "token_variances": (*_TOKEN_AXES, "direction"),
    "heads": ("head",),
}
"""Every result and the names of its axes."""

UNITS = dict.fromkeys(AXES, "1") | {"entropy_deficit": "nat"}
"""Their units."""


class LayerMeasures:
    """An observer that turns what the global layers show into numbers and keeps only those.

    Pass its ``watch`` as ``observe=`` to one forward call over one scene, then ask for
    ``arrays()``.

    Args:
        config: Sizes of the network.
        layout: Where the tokens of the scene sit, two frames or more.
        heads: Attention heads to measure, counted from 0.
        report: Told when a layer is measured.

    Home section: *The phenomenon*.
    """

    def __init__(
        self,
        config: AggregatorConfig,
        layout: TokenLayout,
        heads: Sequence[int],
        *,
        report: Report = silent,
    ) -> None:
        points = ("attention.query", "attention.key", "output")
        names = {f"global.{layer:02d}.{point}" for layer in range(config.depth) for point in points}
        self.watch = Watch(frozenset(names), self._take)
        self._layout, self._heads, self._report = layout, heads, report
        self._query: Tensor | None = None
        self._rows: dict[str, list[np.ndarray | float]] = {}

    def arrays(self) -> dict[str, np.ndarray]:
        """What was measured, by the names of ``AXES``."""
        measured = {name: np.stack(rows) for name, rows in self._rows.items()}
        return measured | {"heads": np.array(self._heads)}

    def _take(self, name: str, tensor: Tensor) -> None:
        if name.endswith("query"):
            self._query = tensor[0]
        elif name.endswith("key"):
            measure = partial(head_statistics, layout=self._layout)
            by_head = [measure(self._query[head], tensor[0, head]) for head in self._heads]
            self._query = None
            self._append({key: np.stack([row[key] for row in by_head]) for key in by_head[0]})
        else:
            variances = covariance_eigenvalues(tensor[0])
            kept = {"token_variances": variances.cpu().numpy()}
            self._append(token_statistics(tensor[0], variances) | kept)
            self._report(f"{name.removesuffix('.output')} measured")

    def _append(self, row: Mapping[str, np.ndarray | float]) -> None:
        for name, value in row.items():
            self._rows.setdefault(name, []).append(value)


def head_statistics(
    query: Float[Tensor, "token dim"], key: Float[Tensor, "token dim"], *, layout: TokenLayout
) -> dict[str, np.ndarray]:
    """Entropy, spectrum and frames of the attention of one head, made in float64.

    Args:
        query: Queries of all tokens after norm and rotation.
        key: Keys of all tokens after norm and rotation.
        layout: Where the tokens sit, two frames or more.

    Home section: *The phenomenon*.
    """
    attention = attention_weights(query.double()[None, None], key.double()[None, None])[0, 0]
    mass = attention_maps.frame_mass(attention, layout)
    generator = torch.Generator().manual_seed(SEARCH_SEED)
    leading = leading_singular_values(attention, generator=generator)
    statistics = {
        "entropy_deficit": np.log(len(key)) - attention_maps.row_entropy(attention).mean(),
        "singular_ratio": leading.ratio,
        "singular_ratio_error": leading.ratio_error,
        "stable_rank": (torch.linalg.vector_norm(attention) / leading.values[0]).square(),
        "distance_from_rank_one": distance_from_rank_one(attention),
        "reference_mass": mass[1:, 0].mean(),
        "frame_mass": mass,
    }
    return {name: value.cpu().numpy() for name, value in statistics.items()}
