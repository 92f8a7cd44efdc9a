"""Queries and keys as whole frames."""

from jaxtyping import Float
from torch import Tensor


def require_whole_frames(
    query: Float[Tensor, "head query dim"],
    key: Float[Tensor, "head key dim"],
    tokens_per_frame: int,
) -> None:
    """Refuse queries or keys that end inside a frame.

    Raises:
        ValueError: If a count is not a multiple of the tokens of a frame.

    Home section: *Measuring collapse*.
    """
    for name, count in (("query", query.shape[1]), ("key", key.shape[1])):
        if tokens_per_frame < 1 or count % tokens_per_frame:
            raise ValueError(
                f"{name} must hold whole frames of {tokens_per_frame} tokens; got {count} tokens: "
                "split the tokens at the ends of frames."
            )
