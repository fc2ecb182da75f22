"""Picking elements: `x[...]`, take, slice, one-hot, of `keras.ops`."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphkeras.ir.dims import Dim, Size, product
from graphkeras.ops._common import (
    TensorLike,
    broadcast_shape,
    expand_to,
    one_axis,
    reshape_to,
    scalar_like,
)
from graphkeras.trace import Tensor, as_tensor, cast_to, emit, op, standardize_dtype


@op
def get_item(x: TensorLike, key: Any) -> Tensor:
    """`x[key]` with integers, slices, None and `...`; one integer tensor picks along its axis.

    Raises:
        IndexError: for too many indices or an index out of range.
        TypeError: for keys that are not supported, such as boolean masks.
    """
    tensor = as_tensor(x)
    items = list(key) if isinstance(key, tuple) else [key]
    items = _fill_ellipsis(items, len(tensor.dims))
    starts: list[Dim] = []
    stops: list[Dim] = []
    steps: list[int] = []
    shape: list[Any] = []
    flips: list[int] = []
    gathers: list[tuple[int, Tensor]] = []
    for item in items:
        if item is None:
            shape.append(1)
            continue
        axis = len(starts)
        dim = tensor.dims[axis]
        if isinstance(item, builtins.slice):
            start, stop, step = _bounds(item, dim)
            if step < 0:
                flips.append(axis)
                start, stop, step = _flipped(item, dim)
            size = _count(start, stop, step)
            shape.append(size)
        elif isinstance(item, (int, np.integer)) and not isinstance(item, (bool, np.bool_)):
            start = _position(int(item), dim, axis)
            stop, step = start + 1, 1
        else:
            start, stop, step = 0, dim, 1
            gathers.append((len(shape), _index_tensor(item)))
            shape.append(dim)
        starts.append(start)
        stops.append(stop)
        steps.append(step)
    if flips:
        tensor = emit("reverse", tensor, axes=tuple(flips))
    whole = all(
        a == 0 and b == d and s == 1
        for a, b, s, d in zip(starts, stops, steps, tensor.dims, strict=True)
    )
    if not whole:
        tensor = emit("slice", tensor, start=tuple(starts), stop=tuple(stops), step=tuple(steps))
    return _gather_all(reshape_to(tensor, tuple(shape)), gathers)


def _gather_all(tensor: Tensor, gathers: Sequence[tuple[int, Tensor]]) -> Tensor:
    if len(gathers) > 1:
        raise TypeError("x[...] takes at most one tensor as an index; use ops.take_along_axis")
    for axis, index in gathers:
        tensor = take(tensor, index, axis=axis)
    return tensor


def _fill_ellipsis(items: list[Any], rank: int) -> list[Any]:
    used = sum(1 for item in items if item is not None and item is not Ellipsis)
    if used > rank:
        raise IndexError(f"too many indices: {used} for a tensor with {rank} dimensions")
    fill = [builtins.slice(None)] * (rank - used)
    for place, item in enumerate(items):
        if item is Ellipsis:
            return items[:place] + fill + items[place + 1 :]
    return items + fill


def _bounds(item: builtins.slice, dim: Dim) -> tuple[Dim, Dim, int]:
    step = 1 if item.step is None else int(item.step)
    if (
        isinstance(dim, int)
        and not isinstance(item.start, Size)
        and not isinstance(item.stop, Size)
    ):
        start, stop, step = item.indices(dim)
        return start, max(stop, start) if step > 0 else stop, step
    return _edge(item.start, 0, dim), _edge(item.stop, dim, dim), step


def _edge(given: Any, default: Dim, dim: Dim) -> Dim:
    if given is None:
        return default
    negative = isinstance(given, (int, np.integer)) and given < 0
    edge: Dim = dim + int(given) if negative else given
    return edge


def _flipped(item: builtins.slice, dim: Dim) -> tuple[Dim, Dim, int]:
    """The bounds, on the reversed axis, of a slice with a negative step."""
    step = -int(item.step)
    if isinstance(dim, int):
        start, stop, _ = item.indices(dim)
        first = dim - 1 - start
        return first, max(dim - 1 - stop, first), step
    if item.start is None and item.stop is None:
        return 0, dim, step
    raise TypeError(
        "a slice with a negative step and bounds needs an axis whose size is known while tracing"
    )


def _count(start: Dim, stop: Dim, step: int) -> Dim:
    length = stop - start
    if step == 1:
        return length
    if isinstance(length, int):
        return -(-length // step)
    raise TypeError(f"a slice with step {step} needs an axis whose size is known while tracing")


def _position(index: int, dim: Dim, axis: int) -> Dim:
    if isinstance(dim, int) and not -dim <= index < dim:
        raise IndexError(f"index {index} is out of range for axis {axis} with size {dim}")
    return dim + index if index < 0 else index


def _index_tensor(item: Any) -> Tensor:
    index = as_tensor(item)
    if index.dtype == "bool" or index.dtype.startswith("float"):
        raise TypeError(
            f"x[...] takes integers, slices, None, ... or an integer tensor, received {item!r}. "
            "Use ops.where to choose elements by a condition."
        )
    return index


@op
def take(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """The slices at the given positions of an axis; of the flattened tensor without one.

    Negative positions count from the end. Positions out of range take the nearest slice.
    """
    tensor = as_tensor(x)
    if axis is None:
        tensor, axis = reshape_to(tensor, (product(tensor.dims),)), 0
    axis = one_axis(axis, len(tensor.dims))
    index = _wrapped(as_tensor(indices), tensor.dims[axis], indices)
    return emit("gather", tensor, index, axis=axis)


def _wrapped(index: Tensor, dim: Dim, given: Any) -> Tensor:
    """Negative indices counted from the front."""
    if index.dtype.startswith("float") or index.dtype == "bool":
        index = cast_to(index, "int32")
    if index.dtype.startswith("uint"):
        return index
    if isinstance(given, (int, np.ndarray)) and np.size(given) and np.min(given) >= 0:
        return index
    from_end = emit("add", index, scalar_like(index, dim))
    return emit("select", emit("lt", index, scalar_like(index, 0)), from_end, index)


@op
def take_along_axis(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """For each position, the element of `x` at the index found there, along one axis."""
    tensor, index = as_tensor(x), as_tensor(indices)
    if axis is None:
        tensor = reshape_to(tensor, (product(tensor.dims),))
        index, axis = reshape_to(index, (product(index.dims),)), 0
    rank = len(tensor.dims)
    if len(index.dims) != rank:
        raise ValueError(
            f"take_along_axis: x has {rank} dimensions and indices {len(index.dims)}; "
            "they must have as many"
        )
    axis = one_axis(axis, rank)
    one_x, one_i = list(tensor.dims), list(index.dims)
    one_x[axis] = one_i[axis] = 1
    common = broadcast_shape(tuple(one_x), tuple(one_i))
    head, tail = common[:axis], common[axis + 1 :]
    tensor = expand_to(tensor, (*head, tensor.dims[axis], *tail))
    index = expand_to(index, (*head, index.dims[axis], *tail))
    index = _wrapped(index, tensor.dims[axis], indices)
    return emit("take_along", tensor, index, axis=axis)


@op
def slice(inputs: TensorLike, start_indices: Sequence[Any], shape: Sequence[Any]) -> Tensor:
    """The block of a given shape that starts at the given position."""
    tensor = as_tensor(inputs)
    starts = tuple(int(s) if isinstance(s, np.integer) else s for s in start_indices)
    stops = tuple(
        d if size == -1 else a + size for a, size, d in zip(starts, shape, tensor.dims, strict=True)
    )
    return emit("slice", tensor, start=starts, stop=stops, step=(1,) * len(starts))


@op
def one_hot(
    x: TensorLike, num_classes: int, axis: int = -1, dtype: object = None, sparse: bool = False
) -> Tensor:
    """Class numbers as vectors with a single one; a zero vector where out of range.

    Args:
        x: class numbers, integers of any shape.
        num_classes: length of the vectors.
        axis: place of the new axis.
        dtype: dtype of the result, floatx by default.
        sparse: must be False; there are no sparse tensors.

    Raises:
        ValueError: for `sparse=True`.
    """
    if sparse:
        raise ValueError("one_hot: sparse tensors are not supported; leave out sparse=True")
    classes = as_tensor(x)
    if classes.dtype.startswith("float") or classes.dtype == "bool":
        classes = cast_to(classes, "int32")
    rank = len(classes.dims) + 1
    place = one_axis(axis, rank)
    shape = (*classes.dims[:place], num_classes, *classes.dims[place:])
    dims = tuple(i for i in range(rank) if i != place)
    spread = emit("broadcast", classes, shape=shape, dims=dims)
    position = emit("iota", shape=shape, axis=place, dtype=classes.dtype)
    return cast_to(emit("eq", spread, position), standardize_dtype(dtype))
