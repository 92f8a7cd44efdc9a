"""The merge explorer: which patches join whom, and what that does to the variance of tokens."""

import numpy as np
import traitlets
from jaxtyping import Float, Int64

from attention_collapse.tokens import TokenLayout
from attention_collapse.widgets.base import BookWidget, StateError, front_end
from attention_collapse.widgets.data_url import data_url, pixels_of
from attention_collapse.widgets.merge_example import example_scene
from attention_collapse.widgets.patch_groups import REFERENCES, patch_groups

CELLS = (2, 3, 4)
MAX_RATIO = 0.9
MAX_TOKENS = 400
MAX_DIRECTIONS = 8
SHARPNESS = 0.3
"""Largest variance of the tokens, whose scores are plain scalar products."""

_PLAIN = {"cell": 2, "ratio": 0.5, "reference": "grid", "weighting": "size"}
PRESETS = [
    {"name": "Half of the tokens", **_PLAIN},
    {"name": "Sizes ignored", **_PLAIN, "weighting": "none"},
    {"name": "Reference apart", **_PLAIN, "reference": "protected"},
    {"name": "Large cells", **_PLAIN, "cell": 4, "ratio": 0.9},
    {"name": "Nothing merged", **_PLAIN, "ratio": 0.0},
]


class MergeExplorer(BookWidget):
    r"""Patches of frames merged in the page, and the contraction of their tokens.

    The page makes the groups, splits the variance of the tokens into the part between groups and
    the part within, and runs the contracting flow :math:`x \leftarrow x - \tau A x` with and
    without merging, with scores :math:`x_i \cdot x_j`.

    Attributes:
        images: Frames as data URLs.
        colours: Mean colour of every patch, three numbers from 0 to 255.
        tokens: Coordinates of every patch, what patches are compared by and what contracts.
        rows: Patch rows of a frame.
        columns: Patch columns of a frame.
        cell: Rows and columns of the cells that hold one destination each: 2, 3 or 4.
        ratio: Share of the tokens to remove, from 0 to 0.9; where fewer may merge, all that may.
        reference: Role of the first frame, ``"grid"``, ``"destination"`` or ``"protected"``.
        weighting: ``"size"``, keys weigh the number of their tokens, or ``"none"``.
        patch: A patch whose group is shown, counted over all frames; -1 for none.

    Raises:
        ValueError: If a trait leaves its range, or tokens, colours and frames do not fit.

    Home section: *Token merging*.
    """

    _esm = front_end(
        "controls.js",
        "plot.js",
        "base.js",
        "panel.js",
        "spectrum_explorer_svd.js",
        "merge_explorer_groups.js",
        "merge_explorer_flow.js",
        "merge_explorer_frames.js",
        "merge_explorer_variance.js",
        "merge_explorer_controls.js",
        "merge_explorer.js",
    )
    _css = front_end("base.css", "panel.css", "merge_explorer.css")

    presets = traitlets.List(traitlets.Dict(), PRESETS).tag(sync=True)
    fragment = traitlets.Unicode("merge-explorer").tag(sync=True)
    images = traitlets.List(traitlets.Unicode()).tag(sync=True)
    colours = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    tokens = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    rows = traitlets.Int(1).tag(sync=True)
    columns = traitlets.Int(1).tag(sync=True)
    cell = traitlets.Int(2).tag(sync=True)
    ratio = traitlets.Float(0.5).tag(sync=True)
    reference = traitlets.Enum(list(REFERENCES), "grid").tag(sync=True)
    weighting = traitlets.Enum(["size", "none"], "size").tag(sync=True)
    patch = traitlets.Int(-1).tag(sync=True)

    def __init__(self, **traits: object) -> None:
        if "tokens" not in traits:
            traits = scene_traits(*example_scene()) | traits
        super().__init__(**traits)
        self._require_scene()

    @classmethod
    def from_frames(
        cls,
        images: Float[np.ndarray, "_ 3 image_height image_width"],
        tokens: Float[np.ndarray, "frame row column width"],
        **traits: object,
    ) -> "MergeExplorer":
        """An explorer of frames and the tokens of their patches.

        Args:
            images: Pixels in [0, 1].
            tokens: Tokens of the patches, of any width.
            traits: Further traits.

        Raises:
            ValueError: As the class, and if there is one token alone or none differ.
        """
        return cls(**scene_traits(images, tokens), **traits)

    @property
    def layout(self) -> TokenLayout:
        """Where the patches sit."""
        return TokenLayout(len(self.images), self.rows, self.columns, special=0)

    @property
    def groups(self) -> Int64[np.ndarray, "token"]:
        """The token that every patch is merged into."""
        settings = {"cell": self.cell, "ratio": self.ratio, "reference": self.reference}
        return patch_groups(np.array(self.tokens), self.layout, **settings)

    def poster(self) -> bytes:
        """Draw the present state as a PNG, for readers without a widget host."""
        from attention_collapse.figures.merge_explorer import merge_explorer_png

        return merge_explorer_png(
            np.stack([pixels_of(each) for each in self.images]),
            np.array(self.tokens),
            self.groups.reshape(len(self.images), self.rows, self.columns),
            proportional=self.weighting == "size",
        )

    def _require_scene(self) -> None:
        count = self.layout.count
        widths = {len(token) for token in self.tokens}
        if not len(self.tokens) == len(self.colours) == count or len(widths) != 1:
            raise StateError(
                f"tokens and colours must be one for each of the {count} patches, tokens of one "
                f"width; got {len(self.tokens)}, {len(self.colours)} and widths {sorted(widths)}: "
                "use from_frames."
            )
        if count > MAX_TOKENS or not self.patch < count:
            raise StateError(
                f"there must be at most {MAX_TOKENS} patches, and patch one of them or -1; got "
                f"{count} and {self.patch}: show fewer or smaller frames."
            )

    @traitlets.validate("cell")
    def _require_cell(self, proposal: dict) -> int:
        value = proposal["value"]
        if value not in CELLS:
            raise StateError(f"cell must be one of {CELLS}; got {value}: choose one of these.")
        return value

    @traitlets.validate("ratio")
    def _require_ratio(self, proposal: dict) -> float:
        value = proposal["value"]
        if not 0 <= value <= MAX_RATIO:
            raise StateError(
                f"ratio must be at least 0 and at most {MAX_RATIO}; got {value}: it is the share "
                "of tokens to remove."
            )
        return value

    @traitlets.validate("patch")
    def _require_patch(self, proposal: dict) -> int:
        value = proposal["value"]
        if value < -1 or (self.tokens and value >= len(self.tokens)):
            raise StateError(
                f"patch must be -1 or below the number of patches; got {value}: count over all "
                "frames, from 0."
            )
        return value


def scene_traits(
    images: Float[np.ndarray, "_ 3 image_height image_width"],
    tokens: Float[np.ndarray, "frame row column width"],
) -> dict[str, object]:
    """The traits that hold a scene: frames in short, colours, and tokens on their main axes.

    The tokens are centred, turned to the axes of their covariance, of which the first eight stay,
    and scaled to a largest variance of 0.3.

    Args:
        images: Pixels in [0, 1].
        tokens: Tokens of the patches, of any width.

    Raises:
        ValueError: If the frames differ in number or no tokens differ.

    Home section: *Token merging*.
    """
    frames, rows, columns, width = tokens.shape
    flat = tokens.reshape(-1, width) - tokens.mean(axis=(0, 1, 2))
    left, values, _ = np.linalg.svd(flat, full_matrices=False)
    if len(images) != frames or not values[0] > 0:
        raise StateError(
            "there must be as many frames of tokens as images, and tokens that differ; got "
            f"{frames} of {len(images)} and a largest deviation of {values[0]:.3g}."
        )
    scale = np.sqrt(SHARPNESS * len(flat)) / values[0]
    main = (left * values * scale)[:, :MAX_DIRECTIONS]
    height, breadth = images.shape[2] // rows, images.shape[3] // columns
    tiles = images[:, :, : rows * height, : columns * breadth]
    tiles = tiles.reshape(frames, 3, rows, height, columns, breadth).mean(axis=(3, 5))
    colours = np.rint(255 * tiles.transpose(0, 2, 3, 1).reshape(-1, 3)).astype(int)
    return {
        "images": [data_url(image) for image in images],
        "colours": colours.tolist(),
        "tokens": main.round(4).tolist(),
        "rows": rows,
        "columns": columns,
    }
