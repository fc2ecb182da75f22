"""What the functions of `keras.ops` share: promotion, broadcasting, axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphkeras.ir.dims import Dim, Shape, Size
from graphkeras.trace.convert import as_tensor, cast_to, emit
from graphkeras.trace.dtypes import float_type, result_type
from graphkeras.trace.tensor import Tensor

TensorLike = Any
"""A tensor, symbolic tensor, variable, NumPy array, Python number or nested list of them."""

Axis = int | Sequence[int] | None


def to_float(x: TensorLike) -> Tensor:
    """`x` as a floating-point tensor: integers become floatx."""
    tensor = as_tensor(x)
    return cast_to(tensor, float_type(tensor))


def promote(*operands: TensorLike, floating: bool = False) -> list[Tensor]:
    """The operands as tensors of the dtype in which they meet; shapes stay."""
    dtype = float_type(*operands) if floating else result_type(*operands)
    return [as_tensor(x, dtype) for x in operands]


def align(*tensors: Tensor) -> list[Tensor]:
    """The tensors broadcast to their common shape."""
    shape = broadcast_shape(*(t.dims for t in tensors))
    return [expand_to(t, shape) for t in tensors]


def broadcast_shape(*shapes: Shape) -> Shape:
    """The common shape of operands by NumPy's rules. Raises `ValueError` where there is none."""
    rank = max(len(s) for s in shapes)
    result: list[Dim] = []
    for axis in range(-rank, 0):
        sizes = [s[axis] for s in shapes if len(s) >= -axis]
        wide = [d for d in sizes if d != 1]
        if any(d != wide[0] for d in wide):
            shown = " and ".join(str(tuple(s)) for s in shapes)
            raise ValueError(
                f"operands could not be broadcast together with shapes {shown}: "
                f"sizes {' and '.join(str(d) for d in dict.fromkeys(wide))} on axis {axis}. "
                "Sizes must be equal, or 1."
            )
        result.append(wide[0] if wide else 1)
    return tuple(result)


def expand_to(x: Tensor, shape: Shape) -> Tensor:
    """The tensor broadcast to a shape it fits; itself where it has it already."""
    if x.dims == shape:
        return x
    first = len(shape) - len(x.dims)
    dims = tuple(range(first, len(shape)))
    return emit("broadcast", x, shape=tuple(shape), dims=dims)


def binary(op: str, x1: TensorLike, x2: TensorLike, floating: bool = False) -> Tensor:
    """A primitive of two operands, promoted and broadcast."""
    a, b = align(*promote(x1, x2, floating=floating))
    return emit(op, a, b)


def scalar_like(x: Tensor, value: Any) -> Tensor:
    """A constant of the tensor's shape and dtype."""
    return expand_to(as_tensor(value, x.dtype), x.dims)


def filled(shape: Shape, value: Any, dtype: str) -> Tensor:
    """A constant of any shape."""
    return expand_to(as_tensor(value, dtype), shape)


def one_axis(axis: int, rank: int, what: str = "axis") -> int:
    """The axis counted from the front. Raises `ValueError` where it is out of range."""
    if not -rank <= axis < rank:
        raise ValueError(f"{what} {axis} is out of range for a tensor with {rank} dimensions")
    return int(axis) % rank


def all_axes(axis: Axis, rank: int) -> tuple[int, ...]:
    """Sorted axes counted from the front; None means all."""
    if axis is None:
        return tuple(range(rank))
    chosen = [axis] if isinstance(axis, int) else list(axis)
    found = {one_axis(int(a), rank) for a in chosen}
    if len(found) != len(chosen):
        raise ValueError(f"an axis is given twice: {tuple(chosen)}")
    return tuple(sorted(found))


def kept_shape(dims: Shape, axes: Sequence[int]) -> Shape:
    """The shape with 1 on the reduced axes."""
    return tuple(1 if i in axes else d for i, d in enumerate(dims))


def reshape_to(x: Tensor, shape: Shape) -> Tensor:
    """The tensor in another shape of as many elements; itself where it has it already."""
    return x if x.dims == tuple(shape) else emit("reshape", x, shape=tuple(shape))


class UnknownSizeError(ValueError):
    """A size is known only at run time where tracing needs a number."""


def static(dim: Dim, what: str) -> int:
    """A size as a number. Raises `UnknownSizeError` where it is known only at run time."""
    if isinstance(dim, Size):
        raise UnknownSizeError(
            f"{what} must be known when the model is traced, but is the run-time size {dim}. "
            "Give Input() a full shape (only the batch size may be None)."
        )
    return dim
