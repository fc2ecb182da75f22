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
from graphkeras.native.vector_math import EMITTERS, SINGLE_ONLY


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


def _formula(name: str) -> Emit:
    """A formula of `vector_math`; the C library's float64 where there is none for it."""
    formula, library = EMITTERS[f"math.{name}"], _library(name)
    if f"math.{name}" not in SINGLE_ONLY:
        return formula

    def emit(builder: Any, arguments: list[Any]) -> Any:
        single = isinstance(arguments[0].type, ir.FloatType)
        return (formula if single else library)(builder, arguments)

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
    **_rows(("sqrt", "fabs"), _llvm),
    **_rows(("pow", "atan2"), _formula, 2),
    **_rows(
        (
            *("exp", "expm1", "log", "log1p", "tanh", "erf"),
            *("sin", "cos", "tan", "asin", "acos", "atan"),
            *("sinh", "cosh", "asinh", "acosh", "atanh"),
        ),
        _formula,
    ),
    "math.isfinite": Intrinsic("math.isfinite", ("F",), "bool", _is_finite),
    "np.floor": Intrinsic("np.floor", ("F",), "F", _llvm("floor")),
    "np.ceil": Intrinsic("np.ceil", ("F",), "F", _llvm("ceil")),
    "np.rint": Intrinsic("np.rint", ("F",), "F", _llvm("rint")),
}
"""The table."""

CONSTANTS = {"math.nan": math.nan, "math.inf": math.inf, "math.pi": math.pi}
"""Named numbers of kernel text."""
