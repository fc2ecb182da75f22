"""Typed memory access and small arithmetic for kernel text.

A kernel receives every buffer as a byte address in an int64. `float32_at(address)` makes it a
pointer that is read and written as `p[i]`::

    x = float32_at(argv[0])
    y = float32_at(argv[1])
    for i in range(lo, hi):
        y[i] = 2 * x[i]

Indices count elements and are neither checked nor wrapped.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from graphkeras.native.intrinsic import Emit, Intrinsic, declared


def _pointer(dtype: str, stored: str, kind: Any) -> Intrinsic:
    def emit(builder: Any, arguments: list[Any]) -> Any:
        return builder.inttoptr(arguments[0], kind.as_pointer())

    return Intrinsic(f"{dtype}_at", ("int64",), f"{stored}*", emit)


def _integer_pointer(dtype: str) -> Intrinsic:
    return _pointer(dtype, dtype, ir.IntType(int(dtype.lstrip("uint"))))


float32_at = _pointer("float32", "float32", ir.FloatType())
float64_at = _pointer("float64", "float64", ir.DoubleType())
int8_at = _integer_pointer("int8")
int16_at = _integer_pointer("int16")
int32_at = _integer_pointer("int32")
int64_at = _integer_pointer("int64")
uint8_at = _integer_pointer("uint8")
uint16_at = _integer_pointer("uint16")
uint32_at = _integer_pointer("uint32")
uint64_at = _integer_pointer("uint64")
bool_at = _pointer("bool", "uint8", ir.IntType(8))
"""Bools are the bytes 0 and 1: `p[i] != 0` reads one, `p[i] = 1 if c else 0` writes one."""


udiv = Intrinsic("udiv", ("int64", "int64"), "int64", lambda builder, args: builder.udiv(*args))
"""Quotient of non-negative int64: Python's `//` adds sign fix-ups and a zero check."""
urem = Intrinsic("urem", ("int64", "int64"), "int64", lambda builder, args: builder.urem(*args))
"""Remainder of non-negative int64."""


def _add_any_order(builder: Any, arguments: list[Any]) -> Any:
    if isinstance(arguments[0].type, ir.IntType):
        return builder.add(*arguments)
    return builder.fadd(*arguments, flags=("reassoc", "nsz"))


add_any_order = Intrinsic("add_any_order", ("T", "T"), "T", _add_any_order)
"""Sum that LLVM may reorder with its neighbours, so that a reduction loop vectorises.

The flags allow another order of the additions and nothing else: NaN and infinity behave as
in IEEE arithmetic.
"""


def _extreme(name: str) -> Emit:
    def emit(builder: Any, arguments: list[Any]) -> Any:
        kind = arguments[0].type
        suffix = "f32" if isinstance(kind, ir.FloatType) else "f64"
        function = declared(builder, f"llvm.{name}.{suffix}", kind, [kind, kind])
        return builder.call(function, arguments, fastmath=("nsz",))

    return emit


maximum = Intrinsic("maximum", ("F", "F"), "F", _extreme("maximum"))
"""The larger of two floats; NaN where either is. LLVM vectorises a reduction with it, which it does
not do with comparisons. Which of 0 and -0 comes out is not said."""
minimum = Intrinsic("minimum", ("F", "F"), "F", _extreme("minimum"))
"""The smaller of two floats, likewise."""
