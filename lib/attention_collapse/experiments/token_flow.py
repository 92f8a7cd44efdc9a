"""Tokens that mix by attention alone, layer after layer, in the form of a network's layers."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.experiments.token_ensembles import TokenEnsemble
from attention_collapse.measure.streaming import StreamedAttention
from attention_collapse.vggt import Observe


@dataclass(frozen=True)
class TokenFlow:
    r"""Pre-norm attention with :math:`V = I` on the tokens of an ensemble.

    .. math:: x \leftarrow x + \tau r \, A \frac{x}{\|x\|}, \qquad r^2 = 1 + c^2,

    with the common coordinate :math:`c` and scores :math:`\beta r^2 \hat z_i^\top B \hat z_j` of
    the directions :math:`x / \|x\| = (\hat c, \hat z)`: those of the ensemble at the start, weaker
    as the directions meet. This is the landmark flow with matches that are there.

    Attributes:
        ensemble: Tokens and scores.
        step_size: :math:`\tau`.
        storage: Number format of queries and keys.

    Home section: *A thousand frames*.
    """

    ensemble: TokenEnsemble
    step_size: float
    storage: torch.dtype

    def step(
        self,
        stream: Float[Tensor, "head token dim"],
        layer: int,
        *,
        observe: Observe | None = None,
    ) -> Float[Tensor, "head token dim"]:
        """The tokens after a layer.

        Args:
            stream: The tokens before it.
            layer: Counted from 0; all are alike.
            observe: Shown queries and keys, and as ``output`` the tokens of the first head after
                the layer, as a network shows its residual stream.
        """
        directions = stream / stream.norm(dim=-1, keepdim=True)
        start = self._starting_norm
        query, key = (
            tensor.to(self.storage) for tensor in self.ensemble.queries_and_keys(start * directions)
        )
        if observe is not None:
            observe(f"global.{layer:02d}.attention.query", query)
            observe(f"global.{layer:02d}.attention.key", key)
        mixed = StreamedAttention(query, key).apply(directions)
        stream = stream + self.step_size * start * mixed.to(stream.dtype)
        if observe is not None:
            observe(f"global.{layer:02d}.output", stream[:1])
        return stream

    @property
    def _starting_norm(self) -> float:
        return float((1 + self.ensemble.tokens[0, 0, 0].double().square()).sqrt())
