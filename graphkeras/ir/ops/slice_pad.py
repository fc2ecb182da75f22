"""Ops that cut tensors apart and put them together: slice, pad, concat."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Dim, Size, concrete, divide, extents
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import (
    Array,
    Attr,
    Attrs,
    Elements,
    Index,
    Kind,
    Op,
    Sample,
    Sizes,
    register,
)
from graphkeras.ir.ops.common import (
    equal_index,
    expect_axis,
    expect_count,
    expect_length,
    expect_positive,
    expect_same_dtype,
    fail,
    integers,
    normal,
)
from graphkeras.ir.scalar import Const, Expr, as_index, conjunction
from graphkeras.ir.types import TensorType

N = Size.symbol("N")

# slice


def _sliced(dim: Dim, start: Dim, stop: Dim, step: int) -> Dim:
    """Extent of a slice."""
    if isinstance(start, int) and start < 0:
        fail("slice", f"start must not be negative, received {start}")
    if isinstance(stop, int) and isinstance(dim, int) and stop > dim:
        fail("slice", f"stop {stop} is beyond the dimension {dim}")
    length = stop - start
    if isinstance(length, int):
        if length < 0:
            fail("slice", f"stop must not be below start, received start {start}, stop {stop}")
        return -(-length // step)
    exact = [missing for missing in range(step) if _divides(step, length + missing)]
    if not exact:
        fail("slice", f"{length} elements have no whole number of steps of {step} for every size")
    return divide(length + exact[0], step)


def _divides(step: int, dim: Dim) -> bool:
    try:
        divide(dim, step)
    except ValueError:
        return False
    return True


def _slice_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("slice", types, 1)
    (x,) = types
    for name in ("start", "stop", "step"):
        expect_length("slice", name, attrs[name], x.rank)
    expect_positive("slice", "step", attrs["step"])
    bounds = zip(x.shape, attrs["start"], attrs["stop"], attrs["step"], strict=True)
    return (x.with_shape(tuple(_sliced(*bound) for bound in bounds)),)


def _slice_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    start, stop = concrete(attrs["start"], sizes), extents(attrs["stop"], sizes)
    cuts = tuple(slice(*bound) for bound in zip(start, stop, attrs["step"], strict=True))
    return (arrays[0][cuts].copy(),)


def _slice_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    (dy,) = cotangents
    if dy is None:
        return (None,)
    start, step, shape = node.attrs["start"], node.attrs["step"], node.inputs[0].type.shape
    high = tuple(
        dim - lo - (n - 1) * by - 1
        for dim, lo, n, by in zip(shape, start, dy.type.shape, step, strict=True)
    )
    zero = b.constant(0, dy.type.dtype)
    interior = tuple(by - 1 for by in step)
    return (b.emit("pad", dy, zero, low=start, high=high, interior=interior),)


def _slice_element(e: Elements, node: Node, index: Index) -> Expr:
    bounds = zip(node.attrs["start"], node.attrs["step"], strict=True)
    return e.operand(0, [index[d] * by + as_index(lo) for d, (lo, by) in enumerate(bounds)])


def _slice_limits(node: Node) -> Sequence[Dim]:
    edges = zip(node.inputs[0].type.shape, node.attrs["start"], node.attrs["stop"], strict=True)
    return [limit for dim, lo, end in edges for limit in (lo, dim - end) if isinstance(limit, Size)]


register(
    Op(
        "slice",
        Kind.INJECTIVE,
        "Every step-th element from start up to stop, in every dim.",
        _slice_infer,
        _slice_reference,
        attrs=(Attr("start", tuple), Attr("stop", tuple), Attr("step", tuple)),
        gradient=_slice_gradient,
        element=_slice_element,
        limits=_slice_limits,
        samples=(
            Sample(normal((6, 7)), {"start": (1, 0), "stop": (5, 7), "step": (1, 3)}),
            Sample(normal((9,)), {"start": (1,), "stop": (8,), "step": (2,)}),
            Sample(
                normal((5, 4)),
                {"start": (0, 1), "stop": (N, 3), "step": (1, 1)},
                {0: {0: "N"}},
                label="symbolic",
            ),
            Sample(
                normal((5, 4)),
                {"start": (1, 3), "stop": (N, 4), "step": (1, 1)},
                {0: {0: "N"}},
                label="symbolic tail",
            ),
        ),
    )
)

# pad


def _padded(dim: Dim, low: Dim, high: Dim, interior: int) -> Dim:
    """Extent after padding: one formula for every size, also for none."""
    inner = dim + (dim - 1) * interior
    result = low + inner + high
    if isinstance(result, int) and result < 0:
        fail("pad", f"low {low} and high {high} crop more than the dimension {inner}")
    return result


def _pad_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("pad", types, 2)
    x, value = types
    expect_same_dtype("pad", types)
    if value.shape:
        fail("pad", f"the padding value must be a scalar, received {value}")
    for name in ("low", "high", "interior"):
        expect_length("pad", name, attrs[name], x.rank)
    if any(gap < 0 for gap in attrs["interior"]):
        fail("pad", f"interior must not be negative, received {attrs['interior']}")
    bounds = zip(x.shape, attrs["low"], attrs["high"], attrs["interior"], strict=True)
    return (x.with_shape(tuple(_padded(*bound) for bound in bounds)),)


def pad_array(
    x: Array,
    value: float | Array,
    low: Sequence[int],
    high: Sequence[int],
    interior: Sequence[int],
) -> Array:
    """Pads (or, where negative, crops) an array.

    Element i of a dim goes to low + i (interior + 1), if that is inside.
    """
    extents, sources, places = [], [], []
    for size, lo, hi, gap in zip(x.shape, low, high, interior, strict=True):
        step = gap + 1
        extent = max(0, lo + size + (size - 1) * gap + hi)
        first = max(0, -(lo // step))
        count = max(0, min(size, -((lo - extent) // step)) - first)
        place = lo + first * step
        extents.append(extent)
        sources.append(slice(first, first + count))
        places.append(slice(place, place + count * step, step) if count else slice(0, 0))
    result = np.full(extents, value, x.dtype)
    result[tuple(places)] = x[tuple(sources)]
    return result


def _pad_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    x, value = arrays
    low, high = concrete(attrs["low"], sizes), concrete(attrs["high"], sizes)
    return (pad_array(x, value, low, high, attrs["interior"]),)


def _pad_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    """Cut the operand's elements out; everything else belongs to the padding value."""
    (dy,) = cotangents
    if dy is None:
        return (None, None)
    low, high, interior = node.attrs["low"], node.attrs["high"], node.attrs["interior"]
    zero = b.constant(0, dy.type.dtype)
    rank = dy.type.rank
    whole = b.emit(
        "pad",
        dy,
        zero,
        low=tuple(-lo for lo in low),
        high=tuple(-hi for hi in high),
        interior=(0,) * rank,
    )
    dx = b.emit(
        "slice",
        whole,
        start=(0,) * rank,
        stop=whole.type.shape,
        step=tuple(gap + 1 for gap in interior),
    )
    axes = tuple(range(rank))
    total, kept = (b.emit("reduce_sum", v, axes=axes) for v in (dy, dx))
    return dx, b.emit("sub", total, kept)


def _pad_element(e: Elements, node: Node, index: Index) -> Expr:
    conditions: list[Expr] = []
    position: list[Expr] = []
    attrs = node.attrs
    bounds = zip(attrs["low"], attrs["high"], attrs["interior"], strict=True)
    for d, (low, high, interior) in enumerate(bounds):
        dim = node.inputs[0].type.shape[d]
        at = index[d] - as_index(low)
        if not isinstance(low, int) or low > 0:
            conditions.append(at >= 0)
        if not isinstance(high, int) or high > 0:
            conditions.append(at < dim + (dim - 1) * interior)
        if interior:
            conditions.append(equal_index(at % (interior + 1), as_index(0)))
        position.append(at // (interior + 1))
    inside = conjunction(conditions)
    if inside is None:
        return e.operand(0, position)
    return e.guarded(inside, lambda: e.operand(0, position), e.operand(1, ()))


register(
    Op(
        "pad",
        Kind.INJECTIVE,
        "x with `value` around it and between its elements; negative low or high crops.",
        _pad_infer,
        _pad_reference,
        attrs=(Attr("low", tuple), Attr("high", tuple), Attr("interior", tuple)),
        gradient=_pad_gradient,
        element=_pad_element,
        samples=(
            Sample(normal((3, 4), ()), {"low": (1, 0), "high": (0, 2), "interior": (0, 0)}),
            Sample(normal((3, 4), ()), {"low": (0, 1), "high": (1, 0), "interior": (2, 1)}),
            Sample(
                normal((5, 4), ()),
                {"low": (-1, 2), "high": (1, -1), "interior": (0, 0)},
                label="crop",
            ),
            Sample(
                normal((4, 4), ()),
                {"low": (-1, -2), "high": (0, -1), "interior": (1, 0)},
                label="crop inside",
            ),
            Sample(
                normal((5, 2, 3), ()),
                {"low": (0, 1, 0), "high": (0, 1, 0), "interior": (0, 0, 0)},
                {0: {0: "N"}},
                label="symbolic",
            ),
            Sample(
                normal((5,), ()),
                {"low": (1,), "high": (2,), "interior": (1,)},
                {0: {0: "N"}},
                label="symbolic interior",
            ),
        ),
    )
)

# concat


def _concat_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    if not types:
        fail("concat", "expected at least one operand")
    first, axis = types[0], attrs["axis"]
    expect_axis("concat", axis, first.rank)
    expect_same_dtype("concat", types)
    total: Dim = 0
    for i, x in enumerate(types):
        same = x.rank == first.rank and all(
            x.shape[d] == first.shape[d] for d in range(x.rank) if d != axis
        )
        if not same:
            fail("concat", f"operand {i} is {x}; expected {first} except along axis {axis}")
        total = total + x.shape[axis]
    return (first.with_shape((*first.shape[:axis], total, *first.shape[axis + 1 :])),)


def _concat_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    return (np.concatenate(arrays, attrs["axis"]),)


def _concat_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    (dy,) = cotangents
    if dy is None:
        return [None] * len(node.inputs)
    axis, shape = node.attrs["axis"], dy.type.shape
    pieces: list[Value | None] = []
    begin: Dim = 0
    for x in node.inputs:
        end = begin + x.type.shape[axis]
        start = tuple(begin if d == axis else 0 for d in range(len(shape)))
        stop = tuple(end if d == axis else shape[d] for d in range(len(shape)))
        pieces.append(b.emit("slice", dy, start=start, stop=stop, step=(1,) * len(shape)))
        begin = end
    return pieces


def _concat_element(e: Elements, node: Node, index: Index) -> Expr:
    axis = node.attrs["axis"]
    result: Expr = Const(node.result.type.dtype, 0)
    begin: Dim = 0
    for i, x in enumerate(node.inputs):
        end = begin + x.type.shape[axis]
        at = index[axis] - as_index(begin)
        position = [at if d == axis else index[d] for d in range(len(index))]
        conditions = [] if i == 0 else [index[axis] >= begin]
        if i + 1 < len(node.inputs):
            conditions.append(index[axis] < end)
        inside = conjunction(conditions)
        if inside is None:
            return e.operand(i, position)
        result = e.guarded(inside, _read(e, i, position), result)
        begin = end
    return result


def _read(e: Elements, i: int, position: Sequence[Expr]) -> Callable[[], Expr]:
    return lambda: e.operand(i, position)


register(
    Op(
        "concat",
        Kind.INJECTIVE,
        "Operands one after another along an axis.",
        _concat_infer,
        _concat_reference,
        attrs=(Attr("axis", int),),
        gradient=_concat_gradient,
        element=_concat_element,
        samples=(
            Sample(normal((2, 3), (2, 1)), {"axis": 1}, {0: {0: "N"}, 1: {0: "N"}}),
            Sample(normal((2, 3), (4, 3), (1, 3)), {"axis": 0}, {0: {0: "N"}}),
            Sample(normal((2, 3)), {"axis": 0}, label="one operand"),
            Sample(
                integers("int32", -9, 9, (3,), (2,)),
                {"axis": 0},
                differentiable=False,
                label="int32",
            ),
        ),
    )
)
