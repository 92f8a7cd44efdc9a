r"""Powers of two, a stated part of them on the multiply-add units.

A streaming multiprocessor makes 16 exponentials a clock on its special-function unit and 128
multiply-adds beside them, so that a pass over the scores waits for exponentials. Some of them are
therefore computed as :math:`2^x = 2^n \, 2^f` with the nearest integer :math:`n` put into the
exponent bits and a polynomial for :math:`|f| \le 1/2` (Cody and Waite, *Software Manual for the
Elementary Functions*, 1980; used for attention in FlashAttention-4).
"""

import struct
from functools import cache
from typing import no_type_check

import triton
import triton.language as tl

# The largest number of scores that share one block of instructions.
GROUP = 8

# Minimax coefficients of 2^f on [-1/2, 1/2] for the relative error, constant term first; largest
# errors 7.5e-5 and 7.5e-8. The first is below the rounding of half precision, the second is that
# of single precision.
COEFFICIENTS = {
    3: (0.9999280735394012, 0.6932609854606555, 0.24261112219321604, 0.055171669057925),
    5: (
        1.0000000716546849,
        0.6931469670647609,
        0.24022119723839974,
        0.055507132734978495,
        0.009675541334453752,
        0.0013276471992533978,
    ),
}

# Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
ROUNDING = 12582912.0

# Below this power the exponent bits would run out; the result is zero to every use here.
LOWEST_POWER = -126.0

_CONSTRAINTS = tl.constexpr(",".join(["=f"] * GROUP + ["f"] * GROUP))
_GROUP = tl.constexpr(GROUP)


@cache
def instructions(polynomials: int, degree: int) -> str:
    r"""Assembly that raises 2 to 8 powers, the last ``polynomials`` of them without the unit.

    Args:
        polynomials: How many of 8 powers are polynomials; 0 gives an empty string, which stands
            for the plain function.
        degree: Degree of the polynomial, 3 or 5.

    Raises:
        ValueError: If there are not 0 to 8 polynomials, or the degree is neither 3 nor 5.

    Home section: *Measuring collapse*.
    """
    if not 0 <= polynomials <= GROUP or degree not in COEFFICIENTS:
        raise ValueError(
            f"polynomials must be 0 to {GROUP} and their degree one of {sorted(COEFFICIENTS)}, "
            f"got {polynomials} of degree {degree}: give the number of every {GROUP} powers that "
            "the multiply-add units compute"
        )
    # Triton's interpreter, which runs the kernels without a device, knows no assembly.
    if not polynomials or triton.knobs.runtime.interpret:
        return ""
    unit = [f"ex2.approx.ftz.f32 ${i}, ${i + GROUP};" for i in range(GROUP - polynomials)]
    first = GROUP - polynomials
    return "\n".join(unit + [_polynomial(i, degree) for i in range(first, GROUP)])


def _polynomial(position: int, degree: int) -> str:
    leading, *rest = reversed(COEFFICIENTS[degree])
    steps = [f"fma.rn.ftz.f32 value, value, part, {_bits(c)};" for c in rest]
    return "\n".join(
        [
            "{ .reg .f32 part, round, whole, value; .reg .b32 power, bits;",
            f"max.ftz.f32 part, ${position + GROUP}, {_bits(LOWEST_POWER)};",
            f"add.rn.ftz.f32 round, part, {_bits(ROUNDING)};",
            f"add.rn.ftz.f32 whole, round, {_bits(-ROUNDING)};",
            "sub.rn.ftz.f32 part, part, whole;",
            f"mov.f32 value, {_bits(leading)};",
            *steps,
            "mov.b32 power, round;",
            "shl.b32 power, power, 23;",
            "mov.b32 bits, value;",
            "add.s32 bits, bits, power;",
            f"mov.b32 ${position}, bits; }}",
        ]
    )


def _bits(value: float) -> str:
    """A single-precision constant as the assembler reads it."""
    return "0f" + struct.pack(">f", value).hex().upper()


@triton.jit
@no_type_check
def power_of_two(exponent, INSTRUCTIONS: tl.constexpr):
    """``2 ** exponent`` in single precision by ``instructions``; empty ones mean the unit alone."""
    if INSTRUCTIONS == "":
        result = tl.math.exp2(exponent)
    else:
        result = tl.inline_asm_elementwise(
            INSTRUCTIONS, _CONSTRAINTS, [exponent], dtype=tl.float32, is_pure=True, pack=_GROUP
        )
    return result
