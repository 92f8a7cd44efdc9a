"""A displayed equation that sympy can check."""

from dataclasses import dataclass

import sympy


@dataclass(frozen=True)
class Identity:
    r"""Two sympy expressions that the book displays as equal.

    Attributes:
        label: Label of the equation in the book, such as ``eq-tilt``.
        left: Left side. It may hold integrals, derivatives and sums that are not carried out.
        right: Right side, likewise.

    Home section: *Notation*.
    """

    label: str
    left: sympy.Basic
    right: sympy.Basic

    def residual(self) -> sympy.Basic:
        """Left less right side, carried out and simplified: zero where the identity holds."""
        return sympy.simplify((self.left - self.right).doit())

    def holds(self) -> bool:
        """Whether sympy finds the residual to be zero, in each entry of a matrix."""
        residual = self.residual()
        return bool(residual.is_zero_matrix if residual.is_Matrix else residual.is_zero)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {sympy.latex(self.left)} = {sympy.latex(self.right)}$"
