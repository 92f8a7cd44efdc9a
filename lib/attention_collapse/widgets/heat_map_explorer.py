"""The heat-map explorer: what a patch attends to, layer by layer, as frames are added."""

import math
from collections.abc import Sequence

import numpy as np
import traitlets
from jaxtyping import Float, Int

from attention_collapse.tokens import SPECIAL_TOKENS, TokenLayout
from attention_collapse.widgets.base import BookWidget, StateError, front_end
from attention_collapse.widgets.data_url import data_url, pixels_of
from attention_collapse.widgets.heat_maps import HeatMaps, decode_map, encode_maps

MAX_WEIGHTS = 200_000
STATE_BUDGET = 400_000
"""Bytes of JSON that the widget may put on a page."""


class HeatMapExplorer(BookWidget):
    r"""Recorded attention of query patches over frames, beside the predicted kernel.

    The reader chooses layer, head, number of frames and query; layers, heads and queries count
    from 1, and arrays hold the first one first. A map is drawn in shares of the larger of its
    peaks, recorded and predicted; shades go with the root of the share.

    Attributes:
        images: Frames as data URLs, the first ones of every pass.
        rows: Patch rows of a frame.
        columns: Patch columns of a frame.
        queries: Frame, row and column of every query.
        frame_counts: Frames of the passes, ascending.
        recorded: Maps of every pass, as text of ``encode_maps``.
        recorded_peaks: Their largest weights, over layers, heads and queries.
        predicted: Predicted kernels of every pass, or nothing.
        predicted_peaks: Their largest weights.
        entropy: Mean entropy of the rows in nats, over passes, layers and heads.
        singular_ratio: Second singular value over the first, alike.
        layer: Global layer, from 1.
        head: Head, from 1.
        frames: Frames of the pass shown, one of ``frame_counts``.
        query: Which query, from 1.

    Raises:
        ValueError: If a trait leaves its range, or there are more weights than a page may hold.

    Home section: *Does it collapse?*.
    """

    _esm = front_end(
        "controls.js",
        "plot.js",
        "base.js",
        "panel.js",
        "quantisation.js",
        "heat_map_explorer_maps.js",
        "heat_map_explorer_frames.js",
        "heat_map_explorer_controls.js",
        "heat_map_explorer_numbers.js",
        "heat_map_explorer.js",
    )
    _css = front_end("base.css", "panel.css", "heat_map_explorer.css")

    fragment = traitlets.Unicode("heat-map-explorer").tag(sync=True)
    images = traitlets.List(traitlets.Unicode()).tag(sync=True)
    rows = traitlets.Int(1).tag(sync=True)
    columns = traitlets.Int(1).tag(sync=True)
    queries = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    frame_counts = traitlets.List(traitlets.Int()).tag(sync=True)
    recorded = traitlets.List(traitlets.Unicode()).tag(sync=True)
    recorded_peaks = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    predicted = traitlets.List(traitlets.Unicode()).tag(sync=True)
    predicted_peaks = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    entropy = traitlets.List(traitlets.List(traitlets.List(traitlets.Float()))).tag(sync=True)
    singular_ratio = traitlets.List(traitlets.List(traitlets.List(traitlets.Float()))).tag(
        sync=True
    )
    layer = traitlets.Int(1).tag(sync=True)
    head = traitlets.Int(1).tag(sync=True)
    frames = traitlets.Int().tag(sync=True)
    query = traitlets.Int(1).tag(sync=True)

    @classmethod
    def from_maps(
        cls,
        images: Float[np.ndarray, "frame 3 height width"],
        queries: Int[np.ndarray, "query 3"],
        maps: Sequence[HeatMaps],
        **traits: object,
    ) -> "HeatMapExplorer":
        """An explorer of recorded passes of one scene.

        Args:
            images: Frames with pixels in [0, 1]; as many as the largest pass shows.
            queries: Frame, row and column of every query, in a frame that every pass shows.
            maps: One for every number of frames, ascending.
            traits: Further traits.

        Raises:
            ValueError: As the class, and if maps, images and queries do not fit.
        """
        _require_fit(images, queries, maps)
        recorded = [encode_maps(each.attention) for each in maps]
        none: tuple[str, list[float]] = ("", [])
        predicted = [
            none if each.predicted is None else encode_maps(each.predicted) for each in maps
        ]
        rows, columns = maps[0].attention.shape[4:]
        state = {
            "images": [data_url(image) for image in images],
            "rows": rows,
            "columns": columns,
            "queries": queries.tolist(),
            "frame_counts": [each.frames for each in maps],
            "recorded": [text for text, _ in recorded],
            "recorded_peaks": [peaks for _, peaks in recorded],
            "predicted": [text for text, _ in predicted],
            "predicted_peaks": [peaks for _, peaks in predicted],
            "entropy": [each.entropy.round(6).tolist() for each in maps],
            "singular_ratio": [each.singular_ratio.round(6).tolist() for each in maps],
            "frames": maps[-1].frames,
        }
        return cls(**state | traits)

    @property
    def layout(self) -> TokenLayout:
        """Where the tokens of the pass shown sit."""
        return TokenLayout(self.frames, self.rows, self.columns, special=SPECIAL_TOKENS)

    def shown_maps(self) -> dict[str, Float[np.ndarray, "frame row column"]]:
        """The maps that the present state shows, as the page decodes them, by their names."""
        at = self.frame_counts.index(self.frames)
        heads, queries = len(self.entropy[at][0]), len(self.queries)
        number = ((self.layer - 1) * heads + self.head - 1) * queries + self.query - 1
        grid = (min(self.frames, len(self.images)), self.rows, self.columns)
        sources = {"recorded": (self.recorded[at], self.recorded_peaks[at])}
        if self.predicted[at]:
            sources["predicted"] = (self.predicted[at], self.predicted_peaks[at])
        return {
            name: decode_map(text, peaks, number, grid=grid)
            for name, (text, peaks) in sources.items()
        }

    def poster(self) -> bytes:
        """Draw the present state as a PNG, for readers without a widget host."""
        from attention_collapse.figures.heat_map_explorer import heat_maps_png

        at = self.frame_counts.index(self.frames)
        layer, head = self.layer - 1, self.head - 1
        deficit = math.log(self.layout.count) - self.entropy[at][layer][head]
        ratio = self.singular_ratio[at][layer][head]
        title = (
            f"layer {self.layer}, head {self.head}, {self.frames} frames: ln N − H = "
            f"{deficit:.2f}, σ₂/σ₁ = {ratio:.3f}"
        )
        maps = self.shown_maps()
        images = np.stack([pixels_of(url) for url in self.images[: len(maps["recorded"])]])
        frame, row, column = self.queries[self.query - 1]
        return heat_maps_png(images, maps, query=(frame, row, column), title=title)

    @traitlets.validate("layer", "head", "query", "frames")
    def _require_recorded(self, proposal: dict) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        known = {
            "layer": _counted(self.entropy[0] if self.entropy else []),
            "head": _counted(self.entropy[0][0] if self.entropy else []),
            "query": _counted(self.queries),
            "frames": self.frame_counts,
        }[name]
        if value not in known:
            listed = ", ".join(map(str, known)) or "nothing"
            raise StateError(
                f"{name} must be one that is recorded; got {value}: choose one of {listed}."
            )
        return value


def _counted(items: Sequence) -> range:
    """The numbers of things that count from 1."""
    return range(1, len(items) + 1)


def _require_fit(images: np.ndarray, queries: np.ndarray, maps: Sequence[HeatMaps]) -> None:
    counts = [each.frames for each in maps]
    if not counts or counts != sorted(set(counts)):
        raise StateError(
            f"maps must be one for every number of frames, ascending; got {counts}: sort them."
        )
    first = maps[0].attention.shape
    same = {each.attention.shape[:3] + each.attention.shape[4:] for each in maps}
    shown = [each.attention.shape[3] for each in maps]
    if len(same) > 1 or shown != [min(count, len(images)) for count in counts]:
        raise StateError(
            "maps must share layers, heads, queries and patches, and show all frames there are "
            f"images of; got {len(images)} images and maps of the shapes "
            f"{[each.attention.shape for each in maps]}."
        )
    limits = (shown[0], *first[4:])
    if len(queries) != first[2] or not ((queries >= 0) & (queries < limits)).all():
        raise StateError(
            f"queries must be {first[2]}, of frame, row and column below {limits}; got "
            f"{queries.tolist()}: query patches of the first pass."
        )
    weights = sum(each.attention.size * (1 + (each.predicted is not None)) for each in maps)
    if weights > MAX_WEIGHTS:
        raise StateError(
            f"maps must have at most {MAX_WEIGHTS} weights in all, for the size of the page; got "
            f"{weights}: show fewer frames, heads or queries."
        )
