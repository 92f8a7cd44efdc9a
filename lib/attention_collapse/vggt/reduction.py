"""Attention over fewer tokens: what a token reducer receives and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt.observation import Observe


class Heads(NamedTuple):
    """Query, key and value of every head, as they enter the softmax.

    Attributes:
        query: After norm and rotation, ``[batch head query dim]``.
        key: After norm and rotation, ``[batch head key dim]``.
        value: ``[batch head key dim]``.

    Home section: *Notation*.
    """

    query: Float[Tensor, "batch head query dim"]
    key: Float[Tensor, "batch head key dim"]
    value: Float[Tensor, "batch head key dim"]


def show(heads: Heads, observe: Observe | None) -> None:
    """Show an observer ``query``, ``key`` and ``value``, if there is an observer.

    Home section: *Notation*.
    """
    if observe is not None:
        for name, tensor in heads._asdict().items():
            observe(name, tensor)


@runtime_checkable
class Attend(Protocol):
    """A softmax over the reduced keys, in the place of the network's own.

    Home section: *Notation*.
    """

    def __call__(
        self, heads: Heads, *, key_bias: Float[Tensor, "batch key"] | None
    ) -> Float[Tensor, "batch head query dim"]:
        """The mixtures of values, of scores divided by the root of the queries' dimension.

        Args:
            heads: Query, key and value.
            key_bias: Added to every score of a key.
        """
        ...


@dataclass(frozen=True)
class Reduction:
    """The tokens that attention runs on, and the way back to all tokens.

    Args:
        heads: Reduced query, key and value. The queries need not be the tokens that the keys are.
        restore: From the attention output of the reduced queries, ``[batch query width]``, to
            that of every token, ``[batch token width]``.
        key_bias: Added to every score of a key, such as the logarithm of the number of tokens
            that the key stands for; ``None`` adds nothing.
        attend: Runs the softmax; ``None`` leaves it to the network.

    Raises:
        ValueError: The keys and the values, or their biases, differ in number, or none is left.

    Home section: *Notation*.
    """

    heads: Heads
    restore: Callable[[Tensor], Tensor]
    key_bias: Float[Tensor, "batch key"] | None = None
    attend: Attend | None = None

    def __post_init__(self) -> None:
        queries, keys, values = (tuple(tensor.shape) for tensor in self.heads)
        biases = keys[2] if self.key_bias is None else self.key_bias.shape[-1]
        if not keys[2] == values[2] == biases or 0 in (queries[2], keys[2]):
            raise ValueError(
                "a reduction must leave at least one query and one key, and one value and bias "
                f"for each key, got {queries[2]} queries, {keys[2]} keys, {values[2]} values and "
                f"{biases} biases; reduce keys and values by the same groups"
            )


Reduce = Callable[[Heads, Tensor], Reduction]
"""Called with the heads of one attention and the normalised tokens that they were made from."""


@runtime_checkable
class Reducer(Protocol):
    """Decides in every global block which tokens attention runs on.

    A reducer holds no state of a forward: whatever it needs it is given, so that one reducer may
    serve several networks at once. One whose layers depend on each other is a ``ReducerOfForward``
    and is made anew for every forward.

    Home section: *Notation*.
    """

    def __call__(
        self,
        heads: Heads,
        tokens: Float[Tensor, "batch token width"],
        *,
        layer: int,
        layout: TokenLayout,
    ) -> Reduction:
        """The reduction of one global block.

        Args:
            heads: Query, key and value of all tokens; the entries along the batch are scenes.
            tokens: The normalised tokens that they were made from.
            layer: The layer, counted from 0.
            layout: Where each token of a scene sits.
        """
        ...


@runtime_checkable
class ReducerOfForward(Protocol):
    """Makes a reducer for one forward, which may hold what its layers share.

    Home section: *Notation*.
    """

    def for_forward(self) -> Reducer:
        """A reducer for one forward, called layer by layer."""
        ...


def started(reducer: Reducer | ReducerOfForward | None) -> Reducer | None:
    """The reducer of one forward.

    Args:
        reducer: One that serves any forward, or makes one for each.

    Home section: *Notation*.
    """
    return reducer.for_forward() if isinstance(reducer, ReducerOfForward) else reducer


def identity(heads: Heads) -> Reduction:
    """The reduction that leaves every token in.

    Home section: *Notation*.
    """
    return Reduction(heads, restore=lambda output: output)


def restored(reduction: Reduction, output: Tensor, tokens: Tensor) -> Tensor:
    """The attention output of every token.

    Args:
        reduction: The reduction that attention ran on.
        output: Attention output of the reduced queries.
        tokens: The tokens before the reduction.

    Raises:
        ValueError: The restored output has not the shape of the tokens.

    Home section: *Notation*.
    """
    result = reduction.restore(output)
    if result.shape != tokens.shape:
        raise ValueError(
            f"restore must give back every token, shape {tuple(tokens.shape)}, got "
            f"{tuple(result.shape)} from {tuple(output.shape)}; copy each output to its tokens"
        )
    return result
