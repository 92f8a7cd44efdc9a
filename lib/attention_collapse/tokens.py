"""Where each token sits: frames, special tokens and patches on one flat axis.

The network sees a scene as a flat row of tokens, frame after frame. Inside a frame the special
tokens come first (one camera token, then the registers), then the patches row by row. This module
is the only place that knows this order.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

SPECIAL_TOKENS = 5
"""Special tokens of one frame in VGGT: one camera token and four registers."""


@dataclass(frozen=True)
class TokenLayout:
    r"""The map between a token's flat index and its frame, slot, row and column.

    With :math:`P = s + \text{rows} \cdot \text{columns}` tokens per frame and :math:`s` special
    tokens, the patch at row :math:`r` and column :math:`c` of frame :math:`f` has the index

    .. math:: i = f P + s + r \cdot \text{columns} + c,

    and the special token in slot :math:`k` has the index :math:`f P + k`. All counts start at 0.

    Args:
        frames: Number of frames :math:`S \ge 1`.
        rows: Patch rows of a frame.
        columns: Patch columns of a frame.
        special: Special tokens of a frame; slot 0 is the camera token, the rest are registers.

    Raises:
        ValueError: A count is not an integer or is too small.

    Source: VGGT (arXiv 2503.11651), section 3. Home section: *Notation*.
    """

    frames: int
    rows: int
    columns: int
    special: int = SPECIAL_TOKENS

    def __post_init__(self) -> None:
        for name, minimum in (("frames", 1), ("rows", 1), ("columns", 1), ("special", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < minimum:
                raise ValueError(
                    f"{name} must be an integer of at least {minimum}, got {value!r}; "
                    "give counts of frames and patches, as in TokenLayout(2, 28, 37)"
                )

    @classmethod
    def from_image(
        cls,
        frames: int,
        height: int,
        width: int,
        *,
        patch_size: int = 14,
        special: int = SPECIAL_TOKENS,
    ) -> "TokenLayout":
        """The layout of ``frames`` images of ``height`` x ``width`` pixels.

        Raises:
            ValueError: A side is not a positive multiple of the patch size.
        """
        if patch_size < 1:
            raise ValueError(f"patch_size must be at least 1 pixel, got {patch_size}; VGGT uses 14")
        if min(height, width) < 1 or height % patch_size or width % patch_size:
            near = [max(1, round(side / patch_size)) * patch_size for side in (height, width)]
            raise ValueError(
                f"image sides must be positive multiples of the patch size {patch_size}, got "
                f"height {height} and width {width}; resize to {near[0]} x {near[1]}"
            )
        return cls(frames, height // patch_size, width // patch_size, special)

    @property
    def patches(self) -> int:
        """Number of patches of one frame."""
        return self.rows * self.columns

    @property
    def per_frame(self) -> int:
        """Number of tokens of one frame, special tokens included."""
        return self.special + self.patches

    @property
    def count(self) -> int:
        """Number of tokens of all frames."""
        return self.frames * self.per_frame

    def index(self, frame: int, row: int, column: int) -> int:
        """The flat index of a patch token."""
        _check_range("frame", frame, self.frames)
        _check_range("row", row, self.rows)
        _check_range("column", column, self.columns)
        return frame * self.per_frame + self.special + row * self.columns + column

    def special_index(self, frame: int, slot: int) -> int:
        """The flat index of a special token; slot 0 is the camera token."""
        _check_range("frame", frame, self.frames)
        _check_range("slot", slot, self.special)
        return frame * self.per_frame + slot

    def frame_of(self, index: int) -> int:
        """The frame of the token at a flat index."""
        _check_range("index", index, self.count)
        return index // self.per_frame

    def slot_of(self, index: int) -> int:
        """The slot of the special token at a flat index.

        Raises:
            ValueError: The index is out of range or belongs to a patch.
        """
        _check_range("index", index, self.count)
        slot = index % self.per_frame
        if slot >= self.special:
            raise ValueError(
                f"only a special token has a slot, token {index} is a patch; ask patch_of"
            )
        return slot

    def patch_of(self, index: int) -> tuple[int, int]:
        """The row and column of the patch token at a flat index.

        Raises:
            ValueError: The index is out of range or belongs to a special token.
        """
        _check_range("index", index, self.count)
        patch = index % self.per_frame - self.special
        if patch < 0:
            raise ValueError(
                f"only a patch has a row and a column, token {index} is special; ask slot_of"
            )
        return divmod(patch, self.columns)

    def positions(self) -> Int64[np.ndarray, "token 2"]:
        """The (y, x) position of each token of one frame, as the rotary embedding reads it.

        Special tokens sit at (0, 0) and the patch at row r and column c at (r + 1, c + 1), so that
        no patch shares the position of the special tokens. Every frame has the same positions.
        """
        patches = np.indices((self.rows, self.columns), dtype=np.int64).reshape(2, -1).T + 1
        return np.concatenate([np.zeros((self.special, 2), dtype=np.int64), patches])

    def is_special(self) -> Bool[np.ndarray, "token"]:
        """True at the special tokens of all frames."""
        return np.arange(self.count) % self.per_frame < self.special

    def frame_mask(self, frame: int) -> Bool[np.ndarray, "token"]:
        """True at the tokens of one frame, special tokens included."""
        _check_range("frame", frame, self.frames)
        return np.arange(self.count) // self.per_frame == frame


def _check_range(name: str, value: int, count: int) -> None:
    if not 0 <= value < count:
        raise ValueError(
            f"{name} must be at least 0 and less than {count}, got {value}; counting starts at 0"
        )
