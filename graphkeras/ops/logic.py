"""Comparisons, logic and bits of `keras.ops`."""

from __future__ import annotations

from graphkeras.ops._common import TensorLike, align, binary, promote, scalar_like
from graphkeras.trace import Tensor, as_tensor, emit, op


@op
def equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """`x1 == x2`, element by element."""
    return binary("eq", x1, x2)


@op
def not_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """`x1 != x2`, element by element."""
    return binary("ne", x1, x2)


@op
def less(x1: TensorLike, x2: TensorLike) -> Tensor:
    """`x1 < x2`, element by element."""
    return binary("lt", x1, x2)


@op
def less_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """`x1 <= x2`, element by element."""
    return binary("le", x1, x2)


@op
def greater(x1: TensorLike, x2: TensorLike) -> Tensor:
    """`x1 > x2`, element by element."""
    return binary("gt", x1, x2)


@op
def greater_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """`x1 >= x2`, element by element."""
    return binary("ge", x1, x2)


def _booleans(*operands: TensorLike) -> list[Tensor]:
    return align(*(as_tensor(x, "bool") for x in operands))


@op
def logical_and(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Whether both are true (not zero)."""
    return emit("and", *_booleans(x1, x2))


@op
def logical_or(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Whether either is true (not zero)."""
    return emit("or", *_booleans(x1, x2))


@op
def logical_xor(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Whether exactly one is true (not zero)."""
    return emit("xor", *_booleans(x1, x2))


@op
def logical_not(x: TensorLike) -> Tensor:
    """Whether it is false (zero)."""
    return emit("not", as_tensor(x, "bool"))


@op
def bitwise_and(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Bits set in both; logical and for booleans."""
    return binary("and", x1, x2)


@op
def bitwise_or(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Bits set in either; logical or for booleans."""
    return binary("or", x1, x2)


@op
def bitwise_xor(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Bits set in exactly one."""
    return binary("xor", x1, x2)


@op
def bitwise_not(x: TensorLike) -> Tensor:
    """Bits not set; logical not for booleans."""
    return emit("not", as_tensor(x))


@op
def isnan(x: TensorLike) -> Tensor:
    """Where elements are NaN."""
    tensor = as_tensor(x)
    if not tensor.dtype.startswith("float"):
        return emit("ne", tensor, tensor)
    return emit("is_nan", tensor)


@op
def isfinite(x: TensorLike) -> Tensor:
    """Where elements are neither NaN nor infinite."""
    tensor = as_tensor(x)
    if not tensor.dtype.startswith("float"):
        return emit("eq", tensor, tensor)
    return emit("is_finite", tensor)


@op
def isinf(x: TensorLike) -> Tensor:
    """Where elements are plus or minus infinity."""
    tensor = as_tensor(x)
    if not tensor.dtype.startswith("float"):
        return emit("ne", tensor, tensor)
    return emit("eq", emit("abs", tensor), scalar_like(tensor, float("inf")))


@op
def isclose(
    x1: TensorLike,
    x2: TensorLike,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> Tensor:
    """Where `|x1 - x2| <= atol + rtol * |x2|`."""
    a, b = align(*promote(x1, x2, floating=True))
    bound = emit("mul", emit("abs", b), scalar_like(b, rtol))
    bound = emit("add", bound, scalar_like(b, atol))
    near = emit("le", emit("abs", emit("sub", a, b)), bound)
    close = emit("or", emit("eq", a, b), emit("and", near, emit("is_finite", b)))
    if equal_nan:
        close = emit("or", close, emit("and", emit("is_nan", a), emit("is_nan", b)))
    return close
