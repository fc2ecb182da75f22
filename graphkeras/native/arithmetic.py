"""Python's `//`, `%` and `**` in LLVM, with NumPy's answers where Python has none.

`//` and `%` round towards minus infinity; LLVM divides towards zero, and leaves division by zero
and the one quotient that overflows undefined. Whole numbers divided by zero give 0. No branches,
so loops with these operations vectorise.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from graphkeras.native.types import INT64, Type


def floor_divide(builder: Any, kind: Type, x: Any, y: Any) -> Any:
    """`x // y` of two values of one type, int64, uint64 or a float."""
    if kind.kind == "float":
        return _float_quotient(builder, x, y)
    return _whole(builder, kind, x, y)[0]


def modulo(builder: Any, kind: Type, x: Any, y: Any) -> Any:
    """`x % y` of two values of one type, int64, uint64 or a float; the sign is that of `y`."""
    if kind.kind == "float":
        return _float_rest(builder, x, y)[0]
    return _whole(builder, kind, x, y)[1]


def _whole(builder: Any, kind: Type, x: Any, y: Any) -> tuple[Any, Any]:
    zero, one = kind.constant(0), kind.constant(1)
    by_zero = builder.icmp_unsigned("==", y, zero)
    if kind.kind == "unsigned":
        divisor = builder.select(by_zero, one, y)
        quotient, rest = builder.udiv(x, divisor), builder.urem(x, divisor)
    else:
        # The least number divided by -1 overflows; -x is the quotient by -1 everywhere else.
        by_minus_one = builder.icmp_signed("==", y, kind.constant(-1))
        divisor = builder.select(builder.or_(by_zero, by_minus_one), one, y)
        quotient, rest = builder.sdiv(x, divisor), builder.srem(x, divisor)
        apart = builder.icmp_signed("<", builder.xor(rest, divisor), zero)
        down = builder.and_(builder.icmp_signed("!=", rest, zero), apart)
        quotient = builder.sub(quotient, builder.zext(down, kind.llvm))
        rest = builder.add(rest, builder.select(down, divisor, zero))
        quotient = builder.select(by_minus_one, builder.sub(zero, x), quotient)
    return builder.select(by_zero, zero, quotient), builder.select(by_zero, zero, rest)


def _float_rest(builder: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
    """`x % y`, the remainder towards zero, and whether the two differ by `y`."""
    zero = ir.Constant(x.type, 0.0)
    towards_zero = builder.frem(x, y)
    negative = builder.fcmp_ordered("<", y, zero)
    apart = builder.xor(negative, builder.fcmp_ordered("<", towards_zero, zero))
    down = builder.and_(builder.fcmp_unordered("!=", towards_zero, zero), apart)
    rest = builder.select(down, builder.fadd(towards_zero, y), towards_zero)
    # A remainder of zero has the sign of the divisor.
    signed_zero = builder.select(negative, ir.Constant(x.type, -0.0), zero)
    is_zero = builder.fcmp_ordered("==", towards_zero, zero)
    return builder.select(is_zero, signed_zero, rest), towards_zero, down


def _float_quotient(builder: Any, x: Any, y: Any) -> Any:
    zero, one = ir.Constant(x.type, 0.0), ir.Constant(x.type, 1.0)
    _, towards_zero, down = _float_rest(builder, x, y)
    # `x - rest` is a multiple of y up to rounding; snapping makes the quotient whole.
    exact = builder.fdiv(builder.fsub(x, towards_zero), y)
    exact = builder.select(down, builder.fsub(exact, one), exact)
    whole = _floor(builder, exact)
    above = builder.fcmp_ordered(">", builder.fsub(exact, whole), ir.Constant(x.type, 0.5))
    whole = builder.select(above, builder.fadd(whole, one), whole)
    # Zero with the sign of x / y.
    product = builder.fmul(builder.fmul(exact, exact), x)
    whole = builder.select(builder.fcmp_ordered("==", exact, zero), builder.fdiv(product, y), whole)
    by_zero = builder.fcmp_ordered("==", y, zero)
    return builder.select(by_zero, builder.fdiv(x, y), whole)


def _floor(builder: Any, x: Any) -> Any:
    from graphkeras.native.functions import FUNCTIONS

    return FUNCTIONS["np.floor"].emit(builder, [x])


def power(builder: Any, base: Any, exponent: Any) -> Any:
    """`base ** exponent` of int64 by repeated squaring, wrapping around.

    A negative exponent gives the quotient by the power, rounded towards zero; that of zero gives
    the least number.
    """
    zero, one = INT64.constant(0), INT64.constant(1)
    negative = builder.icmp_signed("<", exponent, zero)
    magnitude = builder.select(negative, builder.sub(zero, exponent), exponent)
    before = builder.block
    loop = builder.append_basic_block("power")
    done = builder.append_basic_block("power.done")
    builder.branch(loop)
    builder.position_at_end(loop)
    left, factor, result = (builder.phi(INT64.llvm) for _ in range(3))
    odd = builder.icmp_unsigned("!=", builder.and_(left, one), zero)
    product = builder.select(odd, builder.mul(result, factor), result)
    rest = builder.lshr(left, one)
    steps = ((left, magnitude, rest), (factor, base, builder.mul(factor, factor)))
    for phi, first, following in (*steps, (result, one, product)):
        phi.add_incoming(first, before)
        phi.add_incoming(following, loop)
    builder.cbranch(builder.icmp_unsigned("!=", rest, zero), loop, done)
    builder.position_at_end(done)
    return builder.select(negative, _reciprocal(builder, base, product), product)


def _reciprocal(builder: Any, base: Any, product: Any) -> Any:
    """1 / product where base is 1 or -1; 0 for others, the least number for 0."""
    unit = builder.icmp_unsigned("<=", builder.add(base, INT64.constant(1)), INT64.constant(2))
    is_zero = builder.icmp_unsigned("==", base, INT64.constant(0))
    least = INT64.constant(-(1 << 63))
    found = builder.select(unit, product, INT64.constant(0))
    return builder.select(is_zero, least, found)
