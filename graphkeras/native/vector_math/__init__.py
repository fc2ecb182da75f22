"""The C library's mathematics as formulas that LLVM's loop vectoriser widens.

`EMITTERS` has an `Emit` (see `graphkeras.native.intrinsic`) for the functions of kernel text:
`EMITTERS["math.exp"](builder, [x])`. Those in `SINGLE_ONLY` serve float32 alone; their docstrings,
and those of all others, state the largest error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphkeras.native.vector_math import erf, exponential, trigonometric
from graphkeras.native.vector_math.number import Number


def _emitter(function: Callable[..., Number]) -> Callable[[Any, list[Any]], Any]:
    def emit(builder: Any, arguments: list[Any]) -> Any:
        return function(*(Number(builder, value) for value in arguments)).value

    return emit


_ANY = (exponential.exp, exponential.expm1, exponential.log, exponential.log1p)
_ANY_TOO = (exponential.tanh, erf.erf)
_SINGLE = (
    *(exponential.pow, trigonometric.sin, trigonometric.cos, trigonometric.tan),
    *(trigonometric.asin, trigonometric.acos, trigonometric.atan, trigonometric.atan2),
    *(trigonometric.sinh, trigonometric.cosh),
    *(trigonometric.asinh, trigonometric.acosh, trigonometric.atanh),
)

EMITTERS = {f"math.{f.__name__}": _emitter(f) for f in (*_ANY, *_ANY_TOO, *_SINGLE)}
"""Name in kernel text -> what builds it."""

SINGLE_ONLY = frozenset(f"math.{f.__name__}" for f in _SINGLE)
"""Functions that exist for float32 only."""
