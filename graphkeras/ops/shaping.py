"""Rearranging tensors: reshape, transpose, join, split, repeat, pad, of `keras.ops`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from graphkeras.ir.dims import Dim, Shape, divide, product
from graphkeras.ops._common import (
    Axis,
    TensorLike,
    all_axes,
    broadcast_shape,
    expand_to,
    one_axis,
    promote,
    reshape_to,
    static,
)
from graphkeras.trace import Tensor, as_tensor, emit, op


@op
def reshape(x: TensorLike, newshape: Any) -> Tensor:
    """The same elements, row by row, in another shape.

    Args:
        x: tensor.
        newshape: sizes; one may be -1 and is computed. None stands for the size `x` has on that
            axis, so `(None, 4, 7)` keeps the batch.

    Raises:
        ValueError: where the number of elements differs.
    """
    tensor = as_tensor(x)
    return reshape_to(tensor, resolve_shape(tensor.dims, newshape))


def resolve_shape(dims: Shape, newshape: Any) -> Shape:
    """The target of a reshape with -1 and None replaced by sizes. Raises `ValueError`."""
    given = list(newshape) if isinstance(newshape, (list, tuple, np.ndarray)) else [newshape]
    target: list[Any] = []
    for axis, dim in enumerate(given):
        if dim is None and axis >= len(dims):
            raise ValueError(f"reshape: size {axis} of {tuple(given)} is None")
        target.append(dims[axis] if dim is None else dim)
    total = product(dims)
    unknown = [i for i, d in enumerate(target) if isinstance(d, (int, np.integer)) and d == -1]
    if len(unknown) > 1:
        raise ValueError(f"reshape: only one size can be -1, received {tuple(given)}")
    if unknown:
        rest = product(d for i, d in enumerate(target) if i != unknown[0])
        try:
            target[unknown[0]] = divide(total, rest) if rest != 0 else 0
        except ValueError:
            raise _bad_reshape(dims, given) from None
    shape = tuple(int(d) if isinstance(d, np.integer) else d for d in target)
    if product(shape) != total:
        raise _bad_reshape(dims, given)
    return shape


def _bad_reshape(dims: Shape, given: Sequence[Any]) -> ValueError:
    return ValueError(
        f"cannot reshape a tensor of shape {dims} ({product(dims)} elements) "
        f"into shape {tuple(given)}"
    )


@op
def ravel(x: TensorLike) -> Tensor:
    """All elements in one dimension."""
    tensor = as_tensor(x)
    return reshape_to(tensor, (product(tensor.dims),))


@op
def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """Axes in another order; reversed by default."""
    tensor = as_tensor(x)
    rank = len(tensor.dims)
    perm = tuple(reversed(range(rank))) if axes is None else tuple(axes)
    perm = tuple(one_axis(a, rank) for a in perm)
    if sorted(perm) != list(range(rank)):
        raise ValueError(f"transpose: axes {axes} must name each of the {rank} axes once")
    return permuted(tensor, perm)


def permuted(x: Tensor, perm: tuple[int, ...]) -> Tensor:
    """The tensor transposed; itself where the order stays."""
    return x if perm == tuple(range(len(perm))) else emit("transpose", x, perm=perm)


permute_dims = transpose


@op
def moveaxis(x: TensorLike, source: Any, destination: Any) -> Tensor:
    """Moves axes to other places; the rest keep their order."""
    tensor = as_tensor(x)
    rank = len(tensor.dims)
    sources = [source] if isinstance(source, int) else list(source)
    targets = [destination] if isinstance(destination, int) else list(destination)
    sources = [one_axis(a, rank) for a in sources]
    targets = [one_axis(a, rank) for a in targets]
    order = [a for a in range(rank) if a not in sources]
    for target, moved in sorted(zip(targets, sources, strict=True)):
        order.insert(target, moved)
    return permuted(tensor, tuple(order))


@op
def swapaxes(x: TensorLike, axis1: int, axis2: int) -> Tensor:
    """Exchanges two axes."""
    tensor = as_tensor(x)
    perm = list(range(len(tensor.dims)))
    a, b = one_axis(axis1, len(perm)), one_axis(axis2, len(perm))
    perm[a], perm[b] = perm[b], perm[a]
    return permuted(tensor, tuple(perm))


@op
def expand_dims(x: TensorLike, axis: Axis) -> Tensor:
    """New axes of size 1 at the given places of the result."""
    tensor = as_tensor(x)
    chosen = [axis] if isinstance(axis, int) else list(axis or ())
    rank = len(tensor.dims) + len(chosen)
    places = all_axes(chosen, rank)
    rest = iter(tensor.dims)
    return reshape_to(tensor, tuple(1 if i in places else next(rest) for i in range(rank)))


@op
def squeeze(x: TensorLike, axis: Axis = None) -> Tensor:
    """Removes axes of size 1: the given ones, or all.

    Raises:
        ValueError: where a given axis has another size.
    """
    tensor = as_tensor(x)
    rank = len(tensor.dims)
    if axis is None:
        axes = tuple(i for i, d in enumerate(tensor.dims) if d == 1)
    else:
        axes = all_axes(axis, rank)
        for a in axes:
            if tensor.dims[a] != 1:
                raise ValueError(
                    f"squeeze: axis {a} has size {tensor.dims[a]}, expected 1 "
                    f"(shape {tensor.shape})"
                )
    return reshape_to(tensor, tuple(d for i, d in enumerate(tensor.dims) if i not in axes))


@op
def broadcast_to(x: TensorLike, shape: Any) -> Tensor:
    """`x` repeated to a shape, by NumPy's rules."""
    tensor = as_tensor(x)
    target = tuple(shape)
    if broadcast_shape(tensor.dims, target) != target:
        raise ValueError(f"cannot broadcast shape {tensor.shape} to {target}")
    return expand_to(tensor, target)


@op
def concatenate(xs: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Tensors joined along an axis.

    Raises:
        ValueError: where the other sizes differ.
    """
    tensors = promote(*xs)
    rank = len(tensors[0].dims)
    axis = one_axis(axis, rank)
    for t in tensors[1:]:
        differs = len(t.dims) != rank or any(
            a != b
            for i, (a, b) in enumerate(zip(t.dims, tensors[0].dims, strict=True))
            if i != axis
        )
        if differs:
            shapes = [u.shape for u in tensors]
            raise ValueError(
                f"concatenate along axis {axis}: all other sizes must be equal, "
                f"received shapes {shapes}"
            )
    return tensors[0] if len(tensors) == 1 else emit("concat", *tensors, axis=axis)


@op
def stack(x: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis."""
    tensors = promote(*x)
    place = one_axis(axis, len(tensors[0].dims) + 1)
    rows = [expand_dims(t, place) for t in tensors]
    return concatenate(rows, axis=place)


def unstack(x: TensorLike, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The slices along an axis, without the axis."""
    parts = _unstack(x, num, axis)
    return list(parts)


@op
def _unstack(x: TensorLike, num: int | None, axis: int) -> list[Tensor]:
    tensor = as_tensor(x)
    axis = one_axis(axis, len(tensor.dims))
    count = static(tensor.dims[axis], "the size of the axis of unstack()")
    return [squeeze(part, axis) for part in _cut(tensor, list(range(1, count)), axis)]


@op
def split(x: TensorLike, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Cuts a tensor along an axis: into equal sections, or before the given positions.

    Raises:
        ValueError: where the sections would not be equal.
    """
    tensor = as_tensor(x)
    axis = one_axis(axis, len(tensor.dims))
    if not isinstance(indices_or_sections, int):
        return _cut(tensor, [int(i) for i in indices_or_sections], axis)
    try:
        width = divide(tensor.dims[axis], indices_or_sections)
    except ValueError:
        raise ValueError(
            f"split: axis {axis} of shape {tensor.shape} cannot be cut into "
            f"{indices_or_sections} equal sections"
        ) from None
    return _cut(tensor, [width * i for i in range(1, indices_or_sections)], axis)


def _cut(x: Tensor, positions: Sequence[Dim], axis: int) -> list[Tensor]:
    edges: list[Dim] = [0, *positions, x.dims[axis]]
    return [cut(x, axis, low, high) for low, high in pairwise(edges)]


def cut(x: Tensor, axis: int, start: Dim, stop: Dim) -> Tensor:
    """The part of a tensor from `start` up to `stop` on one axis."""
    rank = len(x.dims)
    return emit(
        "slice",
        x,
        start=tuple(start if i == axis else 0 for i in range(rank)),
        stop=tuple(stop if i == axis else d for i, d in enumerate(x.dims)),
        step=(1,) * rank,
    )


@op
def tile(x: TensorLike, repeats: Any) -> Tensor:
    """The whole tensor repeated along each axis."""
    tensor = as_tensor(x)
    counts = [repeats] if isinstance(repeats, int) else list(repeats)
    rank = max_rank = len(tensor.dims)
    if len(counts) > rank:
        max_rank = len(counts)
        tensor = reshape_to(tensor, (1,) * (max_rank - rank) + tensor.dims)
    counts = [1] * (max_rank - len(counts)) + counts
    pairs = [size for dim in tensor.dims for size in (1, dim)]
    wide = [s for count, dim in zip(counts, tensor.dims, strict=True) for s in (count, dim)]
    spread = expand_to(reshape_to(tensor, tuple(pairs)), tuple(wide))
    sizes = tuple(c * d for c, d in zip(counts, tensor.dims, strict=True))
    return reshape_to(spread, sizes)


@op
def repeat(x: TensorLike, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element repeated along an axis; of the flattened tensor where the axis is None."""
    tensor = as_tensor(x)
    if axis is None:
        tensor, axis = ravel(tensor), 0
    axis = one_axis(axis, len(tensor.dims))
    if not isinstance(repeats, int):
        counts = np.asarray(repeats).reshape(-1)
        if counts.size != 1:
            positions = np.repeat(np.arange(counts.size), counts).astype("int32")
            return emit("gather", tensor, as_tensor(positions), axis=axis)
        repeats = int(counts[0])
    before, size, after = tensor.dims[:axis], tensor.dims[axis], tensor.dims[axis + 1 :]
    column = reshape_to(tensor, (*before, size, 1, *after))
    spread = expand_to(column, (*before, size, repeats, *after))
    return reshape_to(spread, (*before, size * repeats, *after))


@op
def flip(x: TensorLike, axis: Axis = None) -> Tensor:
    """The order reversed along axes; all by default."""
    tensor = as_tensor(x)
    return emit("reverse", tensor, axes=all_axes(axis, len(tensor.dims)))


@op
def roll(x: TensorLike, shift: Any, axis: Any = None) -> Tensor:
    """Elements moved along axes; what leaves at one end comes in at the other."""
    tensor = as_tensor(x)
    if axis is None:
        return reshape_to(roll(ravel(tensor), shift, 0), tensor.dims)
    axes = [axis] if isinstance(axis, int) else list(axis)
    shifts = [shift] * len(axes) if isinstance(shift, int) else list(shift)
    for a, s in zip(axes, shifts, strict=True):
        place = one_axis(a, len(tensor.dims))
        size = static(tensor.dims[place], "the size of the axis of roll()")
        s = s % size if size else 0
        if s:
            tail, head = _cut(tensor, [size - s], place)
            tensor = emit("concat", head, tail, axis=place)
    return tensor


@op
def pad(
    x: TensorLike, pad_width: Any, mode: str = "constant", constant_values: Any = None
) -> Tensor:
    """Adds elements before and after each axis.

    Args:
        x: tensor.
        pad_width: a number, a pair for every axis, or one pair for each axis.
        mode: `"constant"`, `"reflect"` (without the edge) or `"symmetric"` (with the edge).
        constant_values: the value of constant padding, 0 by default.

    Raises:
        ValueError: for another mode.
    """
    tensor = as_tensor(x)
    widths = pad_widths(pad_width, len(tensor.dims))
    if mode == "constant":
        value = as_tensor(0 if constant_values is None else constant_values, tensor.dtype)
        return emit(
            "pad",
            tensor,
            value,
            low=tuple(w[0] for w in widths),
            high=tuple(w[1] for w in widths),
            interior=(0,) * len(widths),
        )
    if mode not in ("reflect", "symmetric"):
        raise ValueError(f"pad: mode must be constant, reflect or symmetric, received {mode!r}")
    for axis, (low, high) in enumerate(widths):
        if low or high:
            size = static(tensor.dims[axis], "the size of an axis padded by reflection")
            index = np.pad(np.arange(size, dtype="int32"), (low, high), mode=mode)  # type: ignore[call-overload]  # mode is checked above
            tensor = emit("gather", tensor, as_tensor(index), axis=axis)
    return tensor


def pad_widths(pad_width: Any, rank: int) -> list[tuple[int, int]]:
    """NumPy's `pad_width` argument as a pair for each axis."""
    if isinstance(pad_width, int):
        return [(pad_width, pad_width)] * rank
    items = list(pad_width)
    if items and isinstance(items[0], int):
        low, high = items if len(items) == 2 else (items[0], items[0])
        return [(low, high)] * rank
    pairs = [(int(a), int(b)) for a, b in items]
    if len(pairs) == 1:
        return pairs * rank
    if len(pairs) != rank:
        raise ValueError(f"pad: expected a pair for each of {rank} axes, received {pad_width}")
    return pairs
