"""Elementwise mathematics of `keras.ops`.

Operands broadcast by NumPy's rules and meet in the dtype of Keras 3's promotion rules.
Functions that have no integer answer (`exp`, `sin`, `true_divide`, ...) take integers as floatx.
"""

from __future__ import annotations

import math

import numpy as np

from graphkeras.ops._common import (
    TensorLike,
    align,
    binary,
    promote,
    scalar_like,
    to_float,
)
from graphkeras.trace import Tensor, as_tensor, cast_to, emit, op


@op
def add(x1: TensorLike, x2: TensorLike) -> Tensor:
    """`x1 + x2`; logical or for booleans."""
    a, b = align(*promote(x1, x2))
    return emit("or" if a.dtype == "bool" else "add", a, b)


@op
def subtract(x1: TensorLike, x2: TensorLike) -> Tensor:
    """`x1 - x2`."""
    return binary("sub", x1, x2)


@op
def multiply(x1: TensorLike, x2: TensorLike) -> Tensor:
    """`x1 * x2`; logical and for booleans."""
    a, b = align(*promote(x1, x2))
    return emit("and" if a.dtype == "bool" else "mul", a, b)


@op
def true_divide(x1: TensorLike, x2: TensorLike) -> Tensor:
    """`x1 / x2` in floating point."""
    return binary("div", x1, x2, floating=True)


divide = true_divide


@op
def divide_no_nan(x1: TensorLike, x2: TensorLike) -> Tensor:
    """`x1 / x2`, and 0 where `x2` is 0."""
    a, b = align(*promote(x1, x2, floating=True))
    zero, one = scalar_like(b, 0), scalar_like(b, 1)
    empty = emit("eq", b, zero)
    return emit("select", empty, zero, emit("div", a, emit("select", empty, one, b)))


@op
def floor_divide(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The largest whole number not above `x1 / x2`."""
    return binary("floor_div", x1, x2)


@op
def mod(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The remainder of `floor_divide`; it has the sign of `x2`."""
    return binary("mod", x1, x2)


remainder = mod


@op
def power(x1: TensorLike, x2: TensorLike) -> Tensor:
    """`x1 ** x2`; small constant powers become products."""
    if isinstance(x2, (int, float)) and not isinstance(x2, bool):
        base = as_tensor(x1)
        if x2 == 1 and (isinstance(x2, int) or base.dtype.startswith("float")):
            return base
        if x2 == 2 and (isinstance(x2, int) or base.dtype.startswith("float")):
            return square(base)
        if x2 == 0.5 and base.dtype.startswith("float"):
            return emit("sqrt", base)
    return binary("pow", x1, x2)


@op
def maximum(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The larger of two, element by element; NaN where either is NaN."""
    a, b = align(*promote(x1, x2))
    return emit("or" if a.dtype == "bool" else "max", a, b)


@op
def minimum(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The smaller of two, element by element; NaN where either is NaN."""
    a, b = align(*promote(x1, x2))
    return emit("and" if a.dtype == "bool" else "min", a, b)


@op
def arctan2(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The angle of the point `(x2, x1)`, in radians."""
    return binary("atan2", x1, x2, floating=True)


@op
def logaddexp(x1: TensorLike, x2: TensorLike) -> Tensor:
    """`log(exp(x1) + exp(x2))` without overflow."""
    a, b = align(*promote(x1, x2, floating=True))
    distance = emit("neg", emit("abs", emit("sub", a, b)))
    return emit("add", emit("max", a, b), emit("log1p", emit("exp", distance)))


@op
def negative(x: TensorLike) -> Tensor:
    """`-x`."""
    return emit("neg", as_tensor(x))


@op
def absolute(x: TensorLike) -> Tensor:
    """The magnitude of each element."""
    tensor = as_tensor(x)
    return tensor if tensor.dtype == "bool" else emit("abs", tensor)


abs = absolute


@op
def sign(x: TensorLike) -> Tensor:
    """-1, 0 or 1 by the sign of each element."""
    return emit("sign", as_tensor(x))


@op
def square(x: TensorLike) -> Tensor:
    """`x * x`."""
    tensor = as_tensor(x)
    if tensor.dtype == "bool":
        tensor = cast_to(tensor, "int32")
    return emit("mul", tensor, tensor)


@op
def reciprocal(x: TensorLike) -> Tensor:
    """`1 / x`."""
    tensor = to_float(x)
    return emit("div", scalar_like(tensor, 1), tensor)


@op
def sqrt(x: TensorLike) -> Tensor:
    """Square root; NaN below zero."""
    return emit("sqrt", to_float(x))


@op
def rsqrt(x: TensorLike) -> Tensor:
    """`1 / sqrt(x)`."""
    return emit("rsqrt", to_float(x))


@op
def exp(x: TensorLike) -> Tensor:
    """`e ** x`."""
    return emit("exp", to_float(x))


@op
def exp2(x: TensorLike) -> Tensor:
    """`2 ** x`."""
    tensor = to_float(x)
    return emit("exp", emit("mul", tensor, scalar_like(tensor, math.log(2.0))))


@op
def expm1(x: TensorLike) -> Tensor:
    """`exp(x) - 1`, precise near zero."""
    return emit("expm1", to_float(x))


@op
def log(x: TensorLike) -> Tensor:
    """Natural logarithm."""
    return emit("log", to_float(x))


@op
def log1p(x: TensorLike) -> Tensor:
    """`log(1 + x)`, precise near zero."""
    return emit("log1p", to_float(x))


@op
def log2(x: TensorLike) -> Tensor:
    """Logarithm to the base 2."""
    logarithm = emit("log", to_float(x))
    return emit("mul", logarithm, scalar_like(logarithm, 1.0 / math.log(2.0)))


@op
def log10(x: TensorLike) -> Tensor:
    """Logarithm to the base 10."""
    logarithm = emit("log", to_float(x))
    return emit("mul", logarithm, scalar_like(logarithm, 1.0 / math.log(10.0)))


@op
def sin(x: TensorLike) -> Tensor:
    """Sine."""
    return emit("sin", to_float(x))


@op
def cos(x: TensorLike) -> Tensor:
    """Cosine."""
    return emit("cos", to_float(x))


@op
def tan(x: TensorLike) -> Tensor:
    """Tangent."""
    return emit("tan", to_float(x))


@op
def arcsin(x: TensorLike) -> Tensor:
    """Inverse sine."""
    return emit("asin", to_float(x))


@op
def arccos(x: TensorLike) -> Tensor:
    """Inverse cosine."""
    return emit("acos", to_float(x))


@op
def arctan(x: TensorLike) -> Tensor:
    """Inverse tangent."""
    return emit("atan", to_float(x))


@op
def sinh(x: TensorLike) -> Tensor:
    """Hyperbolic sine."""
    return emit("sinh", to_float(x))


@op
def cosh(x: TensorLike) -> Tensor:
    """Hyperbolic cosine."""
    return emit("cosh", to_float(x))


@op
def tanh(x: TensorLike) -> Tensor:
    """Hyperbolic tangent."""
    return emit("tanh", to_float(x))


@op
def arcsinh(x: TensorLike) -> Tensor:
    """Inverse hyperbolic sine."""
    return emit("asinh", to_float(x))


@op
def arccosh(x: TensorLike) -> Tensor:
    """Inverse hyperbolic cosine."""
    return emit("acosh", to_float(x))


@op
def arctanh(x: TensorLike) -> Tensor:
    """Inverse hyperbolic tangent."""
    return emit("atanh", to_float(x))


@op
def erf(x: TensorLike) -> Tensor:
    """The error function."""
    return emit("erf", to_float(x))


_ERFINV_CENTRAL = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
    -0.00125372503, -0.00417768164, 0.246640727, 1.50140941,
)  # fmt: skip
_ERFINV_TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
    -0.0076224613, 0.00943887047, 1.00167406, 2.83297682,
)  # fmt: skip


@op
def erfinv(x: TensorLike) -> Tensor:
    """The inverse error function, by the polynomials of Giles (2010), to float32 precision."""
    tensor = to_float(x)
    one = scalar_like(tensor, 1)
    product = emit("mul", emit("sub", one, tensor), emit("add", one, tensor))
    w = emit("neg", emit("log", product))
    central = _polynomial(_ERFINV_CENTRAL, emit("sub", w, scalar_like(w, 2.5)))
    tail = _polynomial(_ERFINV_TAIL, emit("sub", emit("sqrt", w), scalar_like(w, 3.0)))
    inner = emit("lt", w, scalar_like(w, 5.0))
    series = emit("mul", emit("select", inner, central, tail), tensor)
    infinite = emit("mul", tensor, scalar_like(tensor, math.inf))
    return emit("select", emit("eq", emit("abs", tensor), one), infinite, series)


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    result = scalar_like(x, coefficients[0])
    for c in coefficients[1:]:
        result = emit("add", emit("mul", result, x), scalar_like(x, c))
    return result


@op
def floor(x: TensorLike) -> Tensor:
    """The largest whole number not above `x`."""
    return emit("floor", to_float(x))


@op
def ceil(x: TensorLike) -> Tensor:
    """The smallest whole number not below `x`."""
    return emit("ceil", to_float(x))


@op
def round(x: TensorLike, decimals: int = 0) -> Tensor:
    """The nearest number with so many decimals; halves go to the even one."""
    tensor = as_tensor(x)
    if not tensor.dtype.startswith("float"):
        if decimals >= 0:
            return tensor
        tensor = to_float(tensor)
    if decimals == 0:
        return emit("round", tensor)
    scale = scalar_like(tensor, 10.0**decimals)
    return emit("div", emit("round", emit("mul", tensor, scale)), scale)


@op
def trunc(x: TensorLike) -> Tensor:
    """The whole part of `x`, towards zero."""
    tensor = as_tensor(x)
    if not tensor.dtype.startswith("float"):
        return tensor
    below = emit("lt", tensor, scalar_like(tensor, 0))
    return emit("select", below, emit("ceil", tensor), emit("floor", tensor))


@op
def clip(x: TensorLike, x_min: TensorLike, x_max: TensorLike) -> Tensor:
    """`x` limited to the range `[x_min, x_max]`, in the dtype of `x`."""
    tensor = as_tensor(x)
    if tensor.dtype == "bool":
        tensor = cast_to(tensor, "int32")
    dtype = tensor.dtype
    a, low, high = align(tensor, as_tensor(x_min, dtype), as_tensor(x_max, dtype))
    return emit("min", emit("max", a, low), high)


@op
def where(condition: TensorLike, x1: TensorLike = None, x2: TensorLike = None) -> Tensor:
    """`x1` where the condition holds, `x2` elsewhere.

    Raises:
        ValueError: without `x1` and `x2`: the number of results would depend on the data.
    """
    if x1 is None or x2 is None:
        raise ValueError(
            "where() needs `x1` and `x2`: finding the positions of true elements gives a result "
            "whose shape depends on the data, which a static graph cannot hold."
        )
    a, b = promote(x1, x2)
    chosen, a, b = align(as_tensor(condition, "bool"), a, b)
    return emit("select", chosen, a, b)


@op
def deg2rad(x: TensorLike) -> Tensor:
    """Degrees to radians."""
    tensor = to_float(x)
    return emit("mul", tensor, scalar_like(tensor, math.pi / 180.0))


@op
def nan_to_num(
    x: TensorLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """Replaces NaN, and infinities by the largest finite numbers unless others are given."""
    tensor = as_tensor(x)
    if not tensor.dtype.startswith("float"):
        return tensor
    largest = float(np.finfo(tensor.dtype).max)
    high = scalar_like(tensor, largest if posinf is None else posinf)
    low = scalar_like(tensor, -largest if neginf is None else neginf)
    zero = scalar_like(tensor, 0)
    infinite = emit("select", emit("gt", tensor, zero), high, low)
    number = emit("select", emit("is_finite", tensor), tensor, infinite)
    return emit("select", emit("is_nan", tensor), scalar_like(tensor, nan), number)
