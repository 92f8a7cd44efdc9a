"""What the passes over the scores of attention are measured against."""

import dataclasses

import torch

from attention_collapse.experiments import device_cost

CEILING_REPEATS = 20
# Shares, of every 8 exponentials, that are tried on the multiply-add units for the joint ceiling.
POLYNOMIALS = (1, 2, 3, 4)
# Exponentials of one run on a device other than CUDA.
_PLAIN_EXPONENTIALS = 2**22

# The passes that wait for exponentials, and those that wait for matrix products.
SCORE_STAGES = ("rows", "columns", "frame_mass", "eager")
PRODUCT_STAGES = ("apply", "apply_transposed", "attention")
STAGES = (*SCORE_STAGES, *PRODUCT_STAGES)


@dataclasses.dataclass(frozen=True)
class Ceilings:
    """Rates that a device reaches: matrix operations and exponentials a second.

    Attributes:
        matmul: operations of one large matrix product.
        exponentials: exponentials by the unit made for them.
        joint: exponentials by that unit and the multiply-add units together.

    Home section: *Measuring collapse*.
    """

    matmul: float
    exponentials: float
    joint: float

    def floor(self, stage: str, *, scores: int, dim: int, columns: int, joint: bool) -> float:
        """Least seconds of a stage at these rates.

        A pass makes one exponential a score, a product two multiply-adds a score for every
        dimension of a head and every column.

        Args:
            stage: Name of the stage.
            scores: Scores of all heads.
            dim: Dimension of a head.
            columns: Columns of a product; those of attention itself are ``dim``.
            joint: Count the multiply-add units in.
        """
        if stage in SCORE_STAGES:
            return scores / (self.joint if joint else self.exponentials)
        return 2 * scores * (dim + (dim if stage == "attention" else columns)) / self.matmul


def measure_ceilings(size: int, *, dtype: torch.dtype, device: str) -> Ceilings:
    """Measure the rates on a device; elsewhere than on CUDA the joint rate is the plain one.

    Home section: *Measuring collapse*.
    """
    matmul = device_cost.matmul_rate(size, dtype=dtype, device=device, repeats=CEILING_REPEATS)
    if torch.device(device).type != "cuda":
        numbers = torch.linspace(-1, 0, _PLAIN_EXPONENTIALS, device=device)
        taken = device_cost.timing(numbers.exp2, repeats=CEILING_REPEATS, device=device)
        rate = _PLAIN_EXPONENTIALS / taken.minimum
        return Ceilings(matmul, rate, rate)
    rates = [_exponential_rate(polynomials, device) for polynomials in (0, *POLYNOMIALS)]
    return Ceilings(matmul, rates[0], max(rates))


def _exponential_rate(polynomials: int, device: str) -> float:
    # Triton is there with CUDA only.
    from attention_collapse.measure.kernels.exponential_rate import compute_exponentials

    count = compute_exponentials(device, polynomials=polynomials)
    taken = device_cost.timing(
        lambda: compute_exponentials(device, polynomials=polynomials),
        repeats=CEILING_REPEATS,
        device=device,
    )
    return count / taken.minimum
