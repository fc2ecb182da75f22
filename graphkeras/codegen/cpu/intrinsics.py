"""Typed memory access for generated kernels.

A kernel receives every buffer as a byte address in an int64. `float32_at(address)` makes it a
pointer that Numba code reads and writes as `p[i]`::

    x = float32_at(argv[0])
    y = float32_at(argv[1])
    for i in range(lo, hi):
        y[i] = 2 * x[i]

Indices count elements and are neither checked nor wrapped. Importing this module imports
Numba, so only generated sources import it.
"""

from __future__ import annotations

from typing import Any

import numba
from numba.extending import intrinsic

types: Any = numba.types


def _pointer_intrinsic(dtype: str, stored: Any) -> Any:
    pointer = types.CPointer(stored)

    def at(_typing_context: Any, address: Any) -> Any:
        def emit(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(pointer))

        return (pointer(types.int64), emit) if isinstance(address, types.Integer) else None

    at.__name__ = at.__qualname__ = f"{dtype}_at"
    return intrinsic(at)


float32_at = _pointer_intrinsic("float32", types.float32)
float64_at = _pointer_intrinsic("float64", types.float64)
int8_at = _pointer_intrinsic("int8", types.int8)
int16_at = _pointer_intrinsic("int16", types.int16)
int32_at = _pointer_intrinsic("int32", types.int32)
int64_at = _pointer_intrinsic("int64", types.int64)
uint8_at = _pointer_intrinsic("uint8", types.uint8)
uint16_at = _pointer_intrinsic("uint16", types.uint16)
uint32_at = _pointer_intrinsic("uint32", types.uint32)
uint64_at = _pointer_intrinsic("uint64", types.uint64)
bool_at = _pointer_intrinsic("bool", types.uint8)
"""Bools are the bytes 0 and 1: `p[i] != 0` reads one, `p[i] = 1 if c else 0` writes one."""


def _unsigned_intrinsic(name: str, instruction: str) -> Any:
    def divide(_typing_context: Any, a: Any, b: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            whole = [
                context.cast(builder, value, given, types.int64)
                for value, given in zip(arguments, signature.args, strict=True)
            ]
            return getattr(builder, instruction)(*whole)

        return types.int64(a, b), emit

    divide.__name__ = divide.__qualname__ = name
    return intrinsic(divide)


udiv = _unsigned_intrinsic("udiv", "udiv")
"""Quotient of non-negative int64: Python's `//` adds sign fix-ups and a zero check."""
urem = _unsigned_intrinsic("urem", "urem")
"""Remainder of non-negative int64."""


@intrinsic
def add_any_order(_typing_context: Any, a: Any, b: Any) -> Any:
    """Sum that LLVM may reorder with its neighbours, so that a reduction loop vectorises.

    The flags allow another order of the additions and nothing else: NaN and infinity behave as
    in IEEE arithmetic.
    """

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        if isinstance(a, types.Float):
            return builder.fadd(*arguments, flags=("reassoc", "nsz"))
        return builder.add(*arguments)

    return a(a, a), emit
