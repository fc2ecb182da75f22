"""Sums, means, extremes and running totals of `keras.ops`.

`axis` is an axis, several, or None for all; `keepdims` leaves the reduced axes with size 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphkeras.ir.dims import product
from graphkeras.ops._common import (
    Axis,
    TensorLike,
    all_axes,
    expand_to,
    kept_shape,
    one_axis,
    reshape_to,
    scalar_like,
    static,
    to_float,
)
from graphkeras.ops.elementwise import multiply, true_divide
from graphkeras.ops.sorting import sort
from graphkeras.trace import Tensor, as_tensor, cast_to, emit, op


def reduce(kind: str, x: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    """A primitive reduction, with Keras's `axis` and `keepdims`."""
    axes = all_axes(axis, len(x.dims))
    result = emit(kind, x, axes=axes) if axes else x
    return reshape_to(result, kept_shape(x.dims, axes)) if keepdims else result


def _summable(x: TensorLike) -> Tensor:
    """Booleans and small integers as int32, as sums of them would overflow."""
    tensor = as_tensor(x)
    if tensor.dtype in ("bool", "int8", "int16"):
        return cast_to(tensor, "int32")
    if tensor.dtype in ("uint8", "uint16"):
        return cast_to(tensor, "uint32")
    return tensor


@op
def sum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum of the elements."""
    return reduce("reduce_sum", _summable(x), axis, keepdims)


@op
def prod(
    x: TensorLike, axis: Axis = None, keepdims: bool = False, dtype: str | None = None
) -> Tensor:
    """Product of the elements."""
    return reduce("reduce_prod", cast_to(_summable(x), dtype), axis, keepdims)


@op
def max(x: TensorLike, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """Largest element; NaN where there is one."""
    return _extreme("max", x, axis, keepdims, initial)


@op
def min(x: TensorLike, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """Smallest element; NaN where there is one."""
    return _extreme("min", x, axis, keepdims, initial)


amax = max
amin = min


def _extreme(kind: str, x: TensorLike, axis: Axis, keepdims: bool, initial: Any) -> Tensor:
    tensor = as_tensor(x)
    if tensor.dtype == "bool":
        whole = "reduce_or" if kind == "max" else "reduce_and"
        return reduce(whole, tensor, axis, keepdims)
    result = reduce(f"reduce_{kind}", tensor, axis, keepdims)
    return result if initial is None else emit(kind, result, scalar_like(result, initial))


@op
def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean of the elements, in floating point."""
    tensor = to_float(x)
    axes = all_axes(axis, len(tensor.dims))
    total = reduce("reduce_sum", tensor, axes, keepdims)
    return _divide_by_count(total, tensor, axes)


def _divide_by_count(total: Tensor, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    count = product(x.dims[a] for a in axes)
    if isinstance(count, int):
        if count == 0:
            return emit("div", total, scalar_like(total, 0))
        return emit("mul", total, scalar_like(total, 1.0 / count))
    return emit("div", total, scalar_like(total, count))


@op
def var(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean squared distance from the mean."""
    tensor = to_float(x)
    centre = mean(tensor, axis=axis, keepdims=True)
    return square_mean_distance(tensor, centre, axis, keepdims)


def square_mean_distance(x: Tensor, centre: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    """Mean of `(x - centre) ** 2`, where `centre` broadcasts to `x`.

    The slope along a centre that is the mean of `x` is zero, yet it is part of the second
    derivative: the centre stays differentiable.
    """
    distance = emit("sub", x, expand_to(centre, x.dims))
    return mean(emit("mul", distance, distance), axis=axis, keepdims=keepdims)


@op
def std(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Square root of `var`."""
    return emit("sqrt", var(x, axis=axis, keepdims=keepdims))


@op
def any(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether an element is true (not zero)."""
    return reduce("reduce_or", as_tensor(x, "bool"), axis, keepdims)


@op
def all(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all elements are true (not zero)."""
    return reduce("reduce_and", as_tensor(x, "bool"), axis, keepdims)


@op
def count_nonzero(x: TensorLike, axis: Axis = None) -> Tensor:
    """Number of elements that are not zero, as int32."""
    return sum(cast_to(as_tensor(x, "bool"), "int32"), axis=axis)


@op
def argmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Position of the largest element (the first of equals), as int32."""
    return _arg_extreme("reduce_max", x, axis, keepdims)


@op
def argmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Position of the smallest element (the first of equals), as int32."""
    return _arg_extreme("reduce_min", x, axis, keepdims)


def _arg_extreme(kind: str, x: TensorLike, axis: int | None, keepdims: bool) -> Tensor:
    tensor = as_tensor(x)
    rank = len(tensor.dims)
    if tensor.dtype == "bool":
        tensor = cast_to(tensor, "int32")
    if axis is None:
        flat = reshape_to(tensor, (product(tensor.dims),))
        found = _arg_extreme(kind, flat, 0, False)
        return reshape_to(found, (1,) * rank) if keepdims else found
    axis = one_axis(axis, rank)
    best = expand_to(reduce(kind, tensor, axis, True), tensor.dims)
    hit = emit("eq", tensor, best)
    if tensor.dtype.startswith("float"):
        hit = emit("or", hit, emit("is_nan", tensor))
    position = emit("iota", shape=tensor.dims, axis=axis, dtype="int32")
    never = scalar_like(position, np.iinfo(np.int32).max)
    return reduce("reduce_min", emit("select", hit, position, never), axis, keepdims)


@op
def logsumexp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`log(sum(exp(x)))` without overflow."""
    tensor = to_float(x)
    peak = reduce("reduce_max", tensor, axis, True)
    finite = emit("is_finite", peak)
    shift = emit("stop_gradient", emit("select", finite, peak, scalar_like(peak, 0)))
    shifted = emit("sub", tensor, expand_to(shift, tensor.dims))
    total = emit("log", reduce("reduce_sum", emit("exp", shifted), axis, True))
    result = emit("add", total, shift)
    axes = all_axes(axis, len(tensor.dims))
    if keepdims:
        return result
    return reshape_to(result, tuple(d for i, d in enumerate(tensor.dims) if i not in axes))


@op
def norm(
    x: TensorLike, ord: int | float | str | None = None, axis: Axis = None, keepdims: bool = False
) -> Tensor:
    """Vector norm, or the Frobenius norm of a matrix.

    Args:
        x: floating-point tensor.
        ord: None or 2 (Euclidean), 1, infinity, minus infinity, 0, another number, or "fro".
        axis: axes of the vectors; None takes the whole tensor as one vector.
        keepdims: whether the reduced axes stay with size 1.

    Raises:
        ValueError: for norms of matrices other than Frobenius.
    """
    tensor = to_float(x)
    axes = all_axes(axis, len(tensor.dims))
    if ord in (None, "fro") or (ord == 2 and len(axes) == 1):
        return emit("sqrt", reduce("reduce_sum", emit("mul", tensor, tensor), axes, keepdims))
    if isinstance(ord, str) or len(axes) != 1:
        raise ValueError(f"norm: ord={ord!r} over the axes {axes} is not supported")
    size = emit("abs", tensor)
    if ord == float("inf"):
        return reduce("reduce_max", size, axes, keepdims)
    if ord == float("-inf"):
        return reduce("reduce_min", size, axes, keepdims)
    if ord == 1:
        return reduce("reduce_sum", size, axes, keepdims)
    if ord == 0:
        there = cast_to(emit("ne", tensor, scalar_like(tensor, 0)), tensor.dtype)
        return reduce("reduce_sum", there, axes, keepdims)
    total = reduce("reduce_sum", emit("pow", size, scalar_like(size, ord)), axes, keepdims)
    return emit("pow", total, scalar_like(total, 1.0 / float(ord)))


@op
def cumsum(x: TensorLike, axis: int | None = None, dtype: str | None = None) -> Tensor:
    """Running sum along an axis; of the flattened tensor where the axis is None."""
    return _running("cumsum", x, axis, dtype)


@op
def cumprod(x: TensorLike, axis: int | None = None, dtype: str | None = None) -> Tensor:
    """Running product along an axis; of the flattened tensor where the axis is None."""
    return _running("cumprod", x, axis, dtype)


def _running(kind: str, x: TensorLike, axis: int | None, dtype: str | None) -> Tensor:
    tensor = cast_to(as_tensor(x), dtype)
    if tensor.dtype == "bool":
        tensor = cast_to(tensor, "int32")
    if axis is None:
        tensor, axis = reshape_to(tensor, (product(tensor.dims),)), 0
    return emit(kind, tensor, axis=one_axis(axis, len(tensor.dims)), reverse=False)


@op
def average(x: TensorLike, axis: Axis = None, weights: TensorLike = None) -> Tensor:
    """Weighted mean; the plain mean without weights."""
    if weights is None:
        return mean(x, axis=axis)
    tensor, w = to_float(x), to_float(weights)
    if w.dims != tensor.dims and len(w.dims) == 1 and isinstance(axis, int):
        shape = [1] * len(tensor.dims)
        place = one_axis(axis, len(tensor.dims))
        w = reshape_to(w, (*shape[:place], w.dims[0], *shape[place + 1 :]))
        w = expand_to(w, tensor.dims)
    return true_divide(sum(multiply(tensor, w), axis=axis), sum(w, axis=axis))


@op
def median(x: TensorLike, axis: int, keepdims: bool = False) -> Tensor:
    """Middle element along one axis; the mean of the middle two of an even number."""
    tensor = to_float(x)
    axis = one_axis(axis, len(tensor.dims))
    size = static(tensor.dims[axis], "the size of the axis of median()")
    ordered = sort(tensor, axis=axis)
    rank = len(tensor.dims)
    start = tuple((size - 1) // 2 if i == axis else 0 for i in range(rank))
    stop = tuple(size // 2 + 1 if i == axis else d for i, d in enumerate(tensor.dims))
    middle = emit("slice", ordered, start=start, stop=stop, step=(1,) * rank)
    return mean(middle, axis=axis, keepdims=keepdims)
