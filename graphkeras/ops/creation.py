"""New tensors, conversions and questions about tensors, of `keras.ops`.

Functions that make a tensor from nothing (`zeros`, `arange`, ...) take sizes from `ops.shape`,
so that they work for every batch size. They return NumPy arrays outside a trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphkeras.ir.dims import Shape, product
from graphkeras.ir.op import Array
from graphkeras.ops._common import TensorLike, align, expand_to, filled, promote, reshape_to, static
from graphkeras.trace import (
    KerasTensor,
    Tensor,
    as_tensor,
    cast_to,
    emit,
    is_tensor_like,
    op,
    result_type,
    standardize_dtype,
)
from graphkeras.trace.convert import dtype_or_none

ShapeLike = int | Sequence[Any]


def dims_of(shape: Any) -> Shape:
    """A shape argument as dimensions. Raises `ValueError` for None."""
    items = tuple(shape) if isinstance(shape, (list, tuple, np.ndarray)) else (shape,)
    if any(d is None for d in items):
        raise ValueError(
            f"the shape {items} has an unknown size (None). Use ops.shape(x) instead of x.shape: "
            "it gives the run-time batch size."
        )
    return tuple(int(d) if isinstance(d, np.integer) else d for d in items)


@op
def convert_to_tensor(x: TensorLike, dtype: Any = None, sparse: bool | None = None) -> Tensor:
    """`x` as a tensor, in another dtype where one is given.

    Python floats become floatx and Python integers int32; arrays keep their dtype.
    """
    return as_tensor(x, dtype_or_none(dtype))


@op
def cast(x: TensorLike, dtype: Any) -> Tensor:
    """`x` in another dtype."""
    return cast_to(as_tensor(x), standardize_dtype(dtype))


def convert_to_numpy(x: TensorLike) -> Array:
    """`x` as a NumPy array. Raises `TypeError` while a graph is traced."""
    return np.array(x)


def is_tensor(x: Any) -> bool:
    """Whether `x` is a tensor (symbolic ones and NumPy arrays included)."""
    return is_tensor_like(x)


def shape(x: TensorLike) -> Shape | tuple[int | None, ...]:
    """The shape, with usable run-time sizes: `ops.reshape(x, (ops.shape(x)[0], -1))`.

    Outside `call`, on symbolic tensors, unknown sizes are None as in Keras.
    """
    if isinstance(x, KerasTensor):
        return x.shape
    if isinstance(x, Tensor):
        return x.dims
    return tuple(np.shape(x)) if not hasattr(x, "shape") else tuple(x.shape)


def size(x: TensorLike) -> Any:
    """Number of elements."""
    if isinstance(x, KerasTensor):
        return None if None in x.shape else product(x.dims)
    return product(d for d in shape(x) if d is not None)


def ndim(x: TensorLike) -> int:
    """Number of dimensions."""
    return len(shape(x))


def dtype(x: TensorLike) -> str:
    """Name of the dtype."""
    return standardize_dtype(x.dtype) if hasattr(x, "dtype") else result_type(x)


@op
def stop_gradient(variable: TensorLike) -> Tensor:
    """The same values, through which no gradient flows."""
    return emit("stop_gradient", as_tensor(variable))


@op
def copy(x: TensorLike) -> Tensor:
    """The same values in a tensor of its own."""
    tensor = as_tensor(x)
    return tensor.scope.constant(tensor.numpy().copy()) if _is_eager(tensor) else tensor


def _is_eager(tensor: Tensor) -> bool:
    from graphkeras.trace import EagerScope

    return isinstance(tensor.scope, EagerScope)


def zeros(shape: ShapeLike, dtype: Any = None) -> Tensor:
    """Zeros of a shape; floatx by default."""
    return full(shape, 0, standardize_dtype(dtype))


def ones(shape: ShapeLike, dtype: Any = None) -> Tensor:
    """Ones of a shape; floatx by default."""
    return full(shape, 1, standardize_dtype(dtype))


def empty(shape: ShapeLike, dtype: Any = None) -> Tensor:
    """A tensor whose content does not matter; here zeros."""
    return zeros(shape, dtype)


@op
def full(shape: ShapeLike, fill_value: TensorLike, dtype: Any = None) -> Tensor:
    """One value everywhere; floatx by default."""
    return expand_to(as_tensor(fill_value, standardize_dtype(dtype)), dims_of(shape))


@op
def zeros_like(x: TensorLike, dtype: Any = None) -> Tensor:
    """Zeros of the shape of `x`."""
    return full_like(x, 0, dtype)


@op
def ones_like(x: TensorLike, dtype: Any = None) -> Tensor:
    """Ones of the shape of `x`."""
    return full_like(x, 1, dtype)


@op
def full_like(x: TensorLike, fill_value: TensorLike, dtype: Any = None) -> Tensor:
    """One value everywhere, in the shape of `x` and its dtype unless another is given."""
    tensor = as_tensor(x)
    return expand_to(as_tensor(fill_value, dtype_or_none(dtype) or tensor.dtype), tensor.dims)


@op
def arange(
    start: TensorLike, stop: TensorLike = None, step: TensorLike = None, dtype: Any = None
) -> Tensor:
    """Numbers from `start` (0 where only one is given) up to but without `stop`.

    Args:
        start: first number, or the end where `stop` is None.
        stop: the end; may be a run-time size with integer start 0 and step 1.
        step: distance, 1 by default.
        dtype: by default that of the arguments.
    """
    first, last = (0, start) if stop is None else (start, stop)
    step = 1 if step is None else step
    kind = standardize_dtype(dtype) if dtype is not None else result_type(first, last, step)
    if first == 0 and step == 1 and not isinstance(last, float):
        return emit("iota", shape=(last,), axis=0, dtype=kind)
    values = np.arange(
        static(first, "arange's start"), static(last, "arange's stop"), static(step, "its step")
    )
    return as_tensor(values.astype(kind))


@op
def linspace(
    start: TensorLike,
    stop: TensorLike,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`num` evenly spaced numbers from `start` to `stop`.

    Raises:
        ValueError: for an `axis` other than 0.
    """
    if axis != 0:
        raise ValueError(f"linspace supports axis=0 only, received axis={axis}")
    a, b = align(*promote(start, stop, floating=True))
    parts = num - 1 if endpoint else num
    step = emit("mul", emit("sub", b, a), filled(a.dims, 1.0 / parts if parts > 0 else 0, a.dtype))
    shape = (num, *a.dims)
    position = emit("iota", shape=shape, axis=0, dtype=a.dtype)
    rows = [expand_to(reshape_to(t, (1, *a.dims)), shape) for t in (a, step)]
    result = cast_to(emit("add", rows[0], emit("mul", position, rows[1])), dtype_or_none(dtype))
    return (result, step) if retstep else result


@op
def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:  # noqa: N803
    """Ones on the k-th diagonal of an N by M matrix (square by default), zeros elsewhere."""
    shape = (N, N if M is None else M)
    row = emit("iota", shape=shape, axis=0, dtype="int32")
    column = emit("iota", shape=shape, axis=1, dtype="int32")
    hit = emit("eq", emit("add", row, filled(shape, k, "int32")), column)
    return emit("cast", hit, dtype=standardize_dtype(dtype))


def identity(n: int, dtype: Any = None) -> Tensor:
    """The identity matrix of a size."""
    return eye(n, dtype=dtype)


@op
def tril(x: TensorLike, k: int = 0) -> Tensor:
    """The last two axes with zeros above the k-th diagonal."""
    return _triangle(as_tensor(x), k, "ge")


@op
def triu(x: TensorLike, k: int = 0) -> Tensor:
    """The last two axes with zeros below the k-th diagonal."""
    return _triangle(as_tensor(x), k, "le")


def _triangle(x: Tensor, k: int, compare: str) -> Tensor:
    rank = len(x.dims)
    row = emit("iota", shape=x.dims, axis=rank - 2, dtype="int32")
    column = emit("iota", shape=x.dims, axis=rank - 1, dtype="int32")
    kept = emit(compare, emit("add", row, filled(x.dims, k, "int32")), column)
    return emit("select", kept, x, filled(x.dims, 0, x.dtype))
