"""What a device does for merging: four operations, and what each of them promises."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float, Int64
from torch import Tensor

from attention_collapse.merging.members import Members


class Nearest(NamedTuple):
    """The row of the largest product for every source.

    Attributes:
        position: Position among the destinations; of equal products the first.
        product: The product.

    Home section: *Token merging*.
    """

    position: Int64[Tensor, "batch source"]
    product: Float[Tensor, "batch source"]


@runtime_checkable
class Backend(Protocol):
    """The operations of merging that are worth a kernel.

    Attributes:
        name: ``"portable"`` or ``"triton"``.

    Home section: *Token merging*.
    """

    name: str

    def directions(
        self,
        features: Float[Tensor, "batch token width"],
        rows: Int64[Tensor, "row"],
    ) -> Float[Tensor, "batch row width"]:
        """Features of some tokens over their norms, in the type that ``nearest`` compares.

        Args:
            features: What the tokens are compared by.
            rows: Tokens.
        """
        ...

    def nearest(
        self,
        sources: Float[Tensor, "batch source width"],
        destinations: Float[Tensor, "batch destination width"],
    ) -> Nearest:
        """The destination of the largest product for every source, compared in float32 at least.

        Args:
            sources: Rows of ``directions``.
            destinations: Rows of ``directions``.
        """
        ...

    def means(
        self, tokens: Sequence[Float[Tensor, "batch *axes token width"]], members: Members
    ) -> list[Float[Tensor, "batch *axes group width"]]:
        """Means of the groups of each tensor, summed in float32 at least, in the tensor's type."""
        ...

    def copies(
        self, rows: Float[Tensor, "batch *axes group width"], members: Members
    ) -> Float[Tensor, "batch *axes token width"]:
        """The row of its group for every token."""
        ...

    def attend(
        self,
        query: Float[Tensor, "batch head query dim"],
        key: Float[Tensor, "batch head key dim"],
        value: Float[Tensor, "batch head key value_dim"],
        bias: Float[Tensor, "batch key"] | None,
    ) -> Float[Tensor, "batch head query value_dim"]:
        """Attention with a bias for each key, added to the scores in float32 at least."""
        ...
