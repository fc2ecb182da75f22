"""Values of LLVM code under construction, with Python's operators.

The functions of this package are formulas; `Number` lets them be read as such::

    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x))        two fused multiply-adds
    y = where(x < 0.625, small, large)                a compare and a select

A number is a float32, a float64, an integer of the same width or a truth value, or an LLVM vector
of them; a Python number beside one becomes a constant of its type. Nothing here branches, so
LLVM's loop vectoriser widens a formula as it stands. No instruction carries fast-math flags and
multiplications are fused only where `fma` says so: the vector body of a loop and its scalar tail
give the same bits.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from graphkeras.frozen import frozen

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
F32, F64 = ir.FloatType(), ir.DoubleType()


@frozen
class Format:
    """A floating-point format in numbers."""

    name: str
    integer: Any
    """The integer type of the same width."""
    mantissa: int
    """Stored bits of the mantissa."""
    bias: int
    """Of the stored exponent."""
    tiny: float
    """The smallest normal number."""
    code: str
    """Of the format and of its integer, for `struct`."""

    @property
    def rounder(self) -> float:
        """Added to a small number, it leaves the nearest whole number in the lowest bits."""
        return 1.5 * 2.0**self.mantissa

    def bits(self, x: float) -> int:
        """The bits of a number."""
        result: int = struct.unpack("<" + self.code[1], struct.pack("<" + self.code[0], x))[0]
        return result


SINGLE = Format("f32", I32, 23, 127, 2.0**-126, "fi")
DOUBLE = Format("f64", I64, 52, 1023, 2.0**-1022, "dq")


def _kind(type: Any) -> Any:
    return type.element if isinstance(type, ir.VectorType) else type


class Number:
    """A value and the builder that continues it."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder = builder
        self.value = value

    @property
    def is_float(self) -> bool:
        """Whether it is a floating-point number."""
        return _kind(self.value.type) in (F32, F64)

    @property
    def format(self) -> Format:
        """Its floating-point format."""
        return SINGLE if _kind(self.value.type) == F32 else DOUBLE

    def like(self, kind: Any) -> Any:
        """The type with elements of `kind` and as many of them as this has."""
        type = self.value.type
        return ir.VectorType(kind, type.count) if isinstance(type, ir.VectorType) else kind

    def constant(self, number: float) -> Number:
        """`number` in this one's type."""
        type = self.value.type
        if isinstance(type, ir.VectorType):
            return Number(self.builder, ir.Constant(type, [number] * type.count))
        return Number(self.builder, ir.Constant(type, number))

    def _with(self, operation: str, other: Number | float, swapped: bool = False) -> Number:
        right = other if isinstance(other, Number) else self.constant(other)
        a, b = (right, self) if swapped else (self, right)
        name = f"f{operation}" if self.is_float else operation
        return Number(self.builder, getattr(self.builder, name)(a.value, b.value))

    def __add__(self, other: Number | float) -> Number:
        return self._with("add", other)

    def __radd__(self, other: float) -> Number:
        return self._with("add", other, swapped=True)

    def __sub__(self, other: Number | float) -> Number:
        return self._with("sub", other)

    def __rsub__(self, other: float) -> Number:
        return self._with("sub", other, swapped=True)

    def __mul__(self, other: Number | float) -> Number:
        return self._with("mul", other)

    def __rmul__(self, other: float) -> Number:
        return self._with("mul", other, swapped=True)

    def __truediv__(self, other: Number | float) -> Number:
        return self._with("div", other)

    def __rtruediv__(self, other: float) -> Number:
        return self._with("div", other, swapped=True)

    def __neg__(self) -> Number:
        return Number(self.builder, self.builder.fneg(self.value))

    # Of integers and truth values.

    def _bitwise(self, operation: str, other: Number | int) -> Number:
        right = other if isinstance(other, Number) else self.constant(other)
        return Number(self.builder, getattr(self.builder, operation)(self.value, right.value))

    def __and__(self, other: Number | int) -> Number:
        return self._bitwise("and_", other)

    def __or__(self, other: Number | int) -> Number:
        return self._bitwise("or_", other)

    def __xor__(self, other: Number | int) -> Number:
        return self._bitwise("xor", other)

    def __lshift__(self, places: int) -> Number:
        return self._bitwise("shl", places)

    def __rshift__(self, places: int) -> Number:
        return self._bitwise("ashr", places)

    # Comparisons are false beside a NaN, `!=` is true.

    def _compare(self, sign: str, other: Number | float) -> Number:
        right = other if isinstance(other, Number) else self.constant(other)
        name = "icmp_signed"
        if self.is_float:
            name = "fcmp_unordered" if sign == "!=" else "fcmp_ordered"
        compare = getattr(self.builder, name)
        return Number(self.builder, compare(sign, self.value, right.value))

    def __lt__(self, other: Number | float) -> Number:
        return self._compare("<", other)

    def __le__(self, other: Number | float) -> Number:
        return self._compare("<=", other)

    def __gt__(self, other: Number | float) -> Number:
        return self._compare(">", other)

    def __ge__(self, other: Number | float) -> Number:
        return self._compare(">=", other)

    def __eq__(self, other: Number | float) -> Number:  # type: ignore[override]
        return self._compare("==", other)

    def __ne__(self, other: Number | float) -> Number:  # type: ignore[override]
        return self._compare("!=", other)


def where(condition: Number, yes: Number | float, no: Number | float) -> Number:
    """`yes` where the condition holds, else `no`; both are computed."""
    some = yes if isinstance(yes, Number) else no
    assert isinstance(some, Number)
    a, b = (x if isinstance(x, Number) else some.constant(x) for x in (yes, no))
    return Number(some.builder, some.builder.select(condition.value, a.value, b.value))


def at_most(x: Number, limit: float) -> Number:
    """The smaller of the two; NaN stays NaN."""
    return where(x > limit, limit, x)


def at_least(x: Number, limit: float) -> Number:
    """The larger of the two; NaN stays NaN."""
    return where(x < limit, limit, x)


def _intrinsic(name: str, *arguments: Number) -> Number:
    first = arguments[0]
    type, builder = first.value.type, first.builder
    count = f"v{type.count}" if isinstance(type, ir.VectorType) else ""
    symbol = f"llvm.{name}.{count}{first.format.name}"
    function = builder.module.globals.get(symbol)
    if function is None:
        kind = ir.FunctionType(type, [type] * len(arguments))
        function = ir.Function(builder.module, kind, symbol)
    return Number(builder, builder.call(function, [a.value for a in arguments]))


def fma(a: Number, b: Number | float, c: Number | float) -> Number:
    """`a * b + c`, rounded once where the CPU has that instruction, else twice.

    It is `llvm.fmuladd`: `llvm.fma` would be a call of the C library on a CPU without.
    """
    b, c = (x if isinstance(x, Number) else a.constant(x) for x in (b, c))
    return _intrinsic("fmuladd", a, b, c)


def polynomial(x: Number, coefficients: Sequence[float]) -> Number:
    """`c[0] + c[1] x + c[2] x**2 + ...` by Horner's rule."""
    result = x.constant(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = fma(result, x, coefficient)
    return result


def magnitude(x: Number) -> Number:
    """`|x|`."""
    return _intrinsic("fabs", x)


def with_sign(size: Number, sign: Number) -> Number:
    """`|size|` with the sign of `sign`, that of a zero included."""
    return _intrinsic("copysign", size, sign)


def square_root(x: Number) -> Number:
    """Correctly rounded square root; NaN below 0."""
    return _intrinsic("sqrt", x)


def nearest(x: Number) -> Number:
    """The nearest whole number, halves to even."""
    return _intrinsic("rint", x)


def bits_of(x: Number) -> Number:
    """The bits of a float as an integer."""
    return Number(x.builder, x.builder.bitcast(x.value, x.like(x.format.integer)))


def float_of(bits: Number) -> Number:
    """The float with these bits."""
    kind = F32 if _kind(bits.value.type) == I32 else F64
    return Number(bits.builder, bits.builder.bitcast(bits.value, bits.like(kind)))


def from_integer(x: Number) -> Number:
    """A signed integer as the float of its width."""
    kind = F32 if _kind(x.value.type) == I32 else F64
    return Number(x.builder, x.builder.sitofp(x.value, x.like(kind)))


def widened(x: Number) -> Number:
    """A float32 as float64."""
    return Number(x.builder, x.builder.fpext(x.value, x.like(F64)))


def narrowed(x: Number) -> Number:
    """A float64 rounded to float32."""
    return Number(x.builder, x.builder.fptrunc(x.value, x.like(F32)))


INFINITY, NAN = math.inf, math.nan
