"""The functions of kernel text that need no import of their own: `math.exp(x)`, `np.floor(x)`.

A row gives the types and how the call is emitted. `"F"` is float32 or float64 (an integer becomes
float64), `"T"` any number; see `Intrinsic`. To give a function another implementation, give its
name another row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from graphkeras.native.intrinsic import Emit, Intrinsic, declared


def _llvm(name: str) -> Emit:
    """A call of LLVM's own intrinsic `name`, one instruction on most machines."""

    def emit(builder: Any, arguments: list[Any]) -> Any:
        kind = arguments[0].type
        suffix = "f32" if isinstance(kind, ir.FloatType) else "f64"
        function = declared(builder, f"llvm.{name}.{suffix}", kind, [kind] * len(arguments))
        return builder.call(function, arguments)

    return emit


def _library(name: str) -> Emit:
    """A call of the C library: `namef` for float32, `name` for float64."""

    def emit(builder: Any, arguments: list[Any]) -> Any:
        kind = arguments[0].type
        symbol = f"{name}f" if isinstance(kind, ir.FloatType) else name
        return builder.call(_pure(builder, symbol, kind, len(arguments)), arguments)

    return emit


def _pure(builder: Any, symbol: str, kind: Any, arguments: int) -> Any:
    """A C function that depends on its arguments alone and touches no memory."""
    function = declared(builder, symbol, kind, [kind] * arguments)
    function.attributes.add("nounwind")
    function.attributes.add("readnone")
    return function


def _is_finite(builder: Any, arguments: list[Any]) -> Any:
    size = _llvm("fabs")(builder, arguments)
    return builder.fcmp_ordered("<", size, ir.Constant(size.type, math.inf))


def _rows(
    names: tuple[str, ...], how: Callable[[str], Emit], count: int = 1
) -> dict[str, Intrinsic]:
    return {
        f"math.{name}": Intrinsic(f"math.{name}", ("F",) * count, "F", how(name)) for name in names
    }


FUNCTIONS: dict[str, Intrinsic] = {
    **_rows(("exp", "log", "sin", "cos", "sqrt", "fabs"), _llvm),
    **_rows(("pow",), _llvm, 2),
    **_rows(("atan2",), _library, 2),
    **_rows(
        (
            *("expm1", "log1p", "erf", "tan", "asin", "acos", "atan"),
            *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
        ),
        _library,
    ),
    "math.isfinite": Intrinsic("math.isfinite", ("F",), "bool", _is_finite),
    "np.floor": Intrinsic("np.floor", ("F",), "F", _llvm("floor")),
    "np.ceil": Intrinsic("np.ceil", ("F",), "F", _llvm("ceil")),
    "np.rint": Intrinsic("np.rint", ("F",), "F", _llvm("rint")),
}
"""The table."""

CONSTANTS = {"math.nan": math.nan, "math.inf": math.inf, "math.pi": math.pi}
"""Named numbers of kernel text."""
