"""Tokens cut into groups: means of the groups, and copies back to the tokens."""

from dataclasses import InitVar, dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from attention_collapse.merging.choice import choose_backend
from attention_collapse.merging.members import Members
from attention_collapse.merging.portable import along, sums


@dataclass(frozen=True)
class Groups:
    r"""A partition of the tokens of every batch entry into the same number of groups.

    With the group :math:`g(i)` of token :math:`i` and sizes :math:`n_g`, merging and its way back
    are the matrices

    .. math:: T_{gi} = \frac{[g(i) = g]}{n_g}, \qquad U_{ig} = [g(i) = g].

    :math:`M U` is the identity, so :math:`U M` is a projection: merging twice changes nothing.
    The sizes sum to the number of tokens.

    Args:
        assignment: :math:`g(i)`, numbered from zero; every group has a token.
        count: Number of groups.
        validate: Look at the numbers of the groups, which waits for the device; switched off where
            they are right by construction.

    Raises:
        ValueError: There are more groups than tokens, a number is out of range or a group is empty.

    Source: derived in the book. Home section: *Token merging*.
    """

    assignment: Int64[Tensor, "batch token"]
    count: int
    validate: InitVar[bool] = True

    def __post_init__(self, validate: bool) -> None:
        tokens = self.assignment.shape[1]
        if not 1 <= self.count <= tokens:
            raise ValueError(
                f"the groups must number at least 1 and at most one for each of the {tokens} "
                f"tokens, got {self.count}; leave out groups without a token"
            )
        if len(self.assignment) == 0:
            raise ValueError("groups must have a batch entry, got none; pass one row per entry")
        if validate:
            self._check_assignment()

    @cached_property
    def members(self) -> Members:
        """Where the members of each group are, by tables that are made once."""
        return Members(self.assignment, self.count)

    @classmethod
    def singletons(cls, batch: int, tokens: int, *, device: torch.device | str = "cpu") -> "Groups":
        """Every token in a group of its own: merging that changes nothing."""
        return cls(torch.arange(tokens, device=device).expand(batch, -1), tokens, validate=False)

    @property
    def sizes(self) -> Int64[Tensor, "batch group"]:
        """Number of tokens :math:`n_g` of every group."""
        return self.members.sizes

    def sum(
        self, tokens: Float[Tensor, "batch *axes token width"]
    ) -> Float[Tensor, "batch *axes group width"]:
        """Sums over the groups, accumulated in float32 at least.

        Raises:
            ValueError: Batch or tokens are not those of the groups.
        """
        self._check("tokens", tokens, self.assignment.shape[1])
        return sums(tokens, self.members)

    def merge(
        self,
        tokens: Float[Tensor, "batch *axes token width"],
        *,
        weights: Float[Tensor, "batch token"] | None = None,
    ) -> Float[Tensor, "batch *axes group width"]:
        r"""Means of the groups, :math:`\sum_i w_i x_i / \sum_i w_i` over the tokens of each.

        Args:
            tokens: :math:`x_i`, with any axes between the batch and the tokens.
            weights: :math:`w_i`, such as the number of tokens that a token already stands for;
                ``None`` weighs all alike.

        Raises:
            ValueError: Batch or tokens are not those of the groups, or a weight is not positive.
        """
        if weights is None:
            return self.merge_each(tokens)[0]
        weighted = self.sum(along(weights, tokens) * tokens)
        return (weighted / along(self.total(weights), tokens)).to(tokens.dtype)

    def merge_each(
        self, *tokens: Float[Tensor, "batch *axes token width"]
    ) -> list[Float[Tensor, "batch *axes group width"]]:
        """``merge`` of several tensors on one device, which a GPU takes at once if they are alike.

        Args:
            tokens: Query, key and value, for example.

        Raises:
            ValueError: Batch or tokens are not those of the groups.
        """
        for each in tokens:
            self._check("tokens", each, self.assignment.shape[1])
        names = {choose_backend(each).name for each in tokens}
        backend = choose_backend(tokens[0], name=None if len(names) == 1 else "portable")
        return backend.means(tokens, self.members)

    def total(self, weights: Float[Tensor, "batch token"]) -> Float[Tensor, "batch group"]:
        """Sums of weights over the groups: the sizes of merged tokens that had sizes before.

        Raises:
            ValueError: Batch or tokens are not those of the groups, or a weight is not positive.
        """
        if not (weights > 0).all():
            raise ValueError(
                f"weights must be positive, got {weights.min():.3g} as the smallest; leave tokens "
                "that count for nothing out of the groups"
            )
        return self.sum(weights[..., None])[..., 0]

    def unmerge(
        self, means: Float[Tensor, "batch *axes group width"]
    ) -> Float[Tensor, "batch *axes token width"]:
        """A copy of its group's row for every token.

        Raises:
            ValueError: Batch or rows are not those of the groups.
        """
        self._check("groups", means, self.count)
        return choose_backend(means).copies(means, self.members)

    def matrix(self, dtype: torch.dtype = torch.float64) -> Float[Tensor, "batch group token"]:
        """The merging matrix :math:`M`, whose rows sum to one."""
        return self.membership().to(dtype) / self.sizes.to(dtype)[..., None]

    def membership(self) -> Int64[Tensor, "batch group token"]:
        """One where the token is of the group and zero elsewhere."""
        numbers = torch.arange(self.count, device=self.assignment.device)
        return (self.assignment[:, None] == numbers[:, None]).long()

    def then(self, later: "Groups") -> "Groups":
        """Groups of the original tokens when the groups are merged again.

        Args:
            later: Groups of these groups.

        Raises:
            ValueError: ``later`` does not group as many tokens as there are groups here.
        """
        if later.assignment.shape != (len(self.assignment), self.count):
            raise ValueError(
                f"later groups must be of the {self.count} groups of {len(self.assignment)} batch "
                f"entries, got an assignment of shape {tuple(later.assignment.shape)}; group the "
                "merged tokens"
            )
        assignment = later.assignment.gather(1, self.assignment)
        return Groups(assignment, later.count, validate=False)

    def _check_assignment(self) -> None:
        inside = self.assignment.clamp(0, self.count - 1)
        outside = (inside != self.assignment).any()
        empty = (Members(inside, self.count).sizes == 0).sum()
        # One number is read back where all is well.
        if outside | (empty > 0):
            lowest, highest = (int(bound) for bound in self.assignment.aminmax())
            if outside:
                raise ValueError(
                    f"groups must be numbered from 0 to {self.count - 1}, got numbers from "
                    f"{lowest} to {highest}; count every group"
                )
            raise ValueError(
                f"every group must have a token, got {int(empty)} empty ones among {self.count}; "
                "number the groups without a gap"
            )

    def _check(self, name: str, rows: Tensor, count: int) -> None:
        batch = len(self.assignment)
        if (rows.shape[0], rows.shape[-2]) != (batch, count):
            raise ValueError(
                f"{name} must number {count} in {batch} batch entries, got shape "
                f"{tuple(rows.shape)}; merge the tokens that were grouped"
            )
