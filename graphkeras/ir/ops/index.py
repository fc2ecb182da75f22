"""Reading and adding at computed positions.

`gather` and `scatter_add` take whole slices along one axis, `take_along` and
`scatter_add_along` one position a line. Indices outside the axis are clipped to its ends. The
scatters sum the updates of one element in the order of the indices whatever the number of
threads, because each parallel iteration owns the elements it writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Dim, Shape, product
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import (
    Array,
    Attr,
    Attrs,
    Elements,
    Index,
    Kind,
    Loops,
    Op,
    Sample,
    Sizes,
    register,
)
from graphkeras.ir.ops.common import (
    clipped,
    expect_axis,
    expect_count,
    expect_dtype,
    expect_same_dtype,
    fail,
    filled_like,
    given,
    integers,
    normal,
    together,
)
from graphkeras.ir.scalar import Expr, as_index
from graphkeras.ir.types import TensorType


def _gathered(x: Shape, indices: Shape, axis: int) -> Shape:
    return (*x[:axis], *indices, *x[axis + 1 :])


def _no_gradient(count: int) -> Sequence[Value | None]:
    return [None] * count


# gather


def _gather_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("gather", types, 2)
    x, indices = types
    expect_axis("gather", attrs["axis"], x.rank)
    expect_dtype("gather", indices, "integer", "indices")
    return (x.with_shape(_gathered(x.shape, indices.shape, attrs["axis"])),)


def _gather_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    x, indices = arrays
    return (np.asarray(np.take(x, indices.astype(np.int64), attrs["axis"], mode="clip")),)


def _gather_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    (dy,) = cotangents
    x, indices = node.inputs
    if dy is None or not dy.type.is_float:
        return _no_gradient(2)
    zeros = filled_like(b, x, 0)
    return b.emit("scatter_add", zeros, indices, dy, axis=node.attrs["axis"]), None


def _gather_element(e: Elements, node: Node, index: Index) -> Expr:
    x, indices = (v.type for v in node.inputs)
    axis, count = node.attrs["axis"], indices.rank
    whole = [index[d] for d in range(len(index))]
    row = clipped(e, e.operand(1, whole[axis : axis + count]), as_index(x.shape[axis]))
    return e.operand(0, [*whole[:axis], row, *whole[axis + count :]])


_OUTSIDE = given([-3, 0, 5, 2, 99], dtype="int32")

register(
    Op(
        "gather",
        Kind.INJECTIVE,
        "Slices of x along an axis: x.shape[:axis] + indices.shape + x.shape[axis + 1:].",
        _gather_infer,
        _gather_reference,
        attrs=(Attr("axis", int),),
        indexes=True,
        gradient=_gather_gradient,
        element=_gather_element,
        cost=3,
        samples=(
            Sample(
                together(normal((6, 3)), integers("int32", 0, 6, (5, 2))),
                {"axis": 0},
                {1: {0: "N"}},
                label="embedding",
            ),
            Sample(together(normal((2, 6, 3)), _OUTSIDE), {"axis": 1}, {0: {0: "N"}}, label="clip"),
            Sample(
                together(normal((4,)), integers("int64", 0, 4, ())), {"axis": 0}, label="scalar"
            ),
            Sample(
                together(normal((3, 4)), integers("uint8", 0, 4, (6,))), {"axis": 1}, label="uint8"
            ),
        ),
    )
)

# scatter_add


def _scatter_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("scatter_add", types, 3)
    x, indices, updates = types
    expect_dtype("scatter_add", x, "number")
    expect_same_dtype("scatter_add", (x, updates))
    (expected,) = _gather_infer((x, indices), attrs)
    if updates != expected:
        fail("scatter_add", f"updates must be {expected}, received {updates}")
    return (x,)


def _scatter_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    x, indices, updates = arrays
    axis = attrs["axis"]
    rows = np.clip(indices.astype(np.int64), 0, x.shape[axis] - 1)
    result = x.copy()
    where: Any = (*[slice(None)] * axis, rows)
    with np.errstate(all="ignore"):
        np.add.at(result, where, updates)
    return (result,)


def _scatter_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    (dy,) = cotangents
    if dy is None or not dy.type.is_float:
        return _no_gradient(3)
    return dy, None, b.emit("gather", dy, node.inputs[1], axis=node.attrs["axis"])


def _scatter_loops(k: Loops, node: Node) -> None:
    """Threads share what lies in front of the axis; where nothing does, the rows along it.

    Each walks all indices and adds the updates of its own rows, in their order: whoever owns a
    row, its sum is the same.
    """
    x, indices, updates = (v.type for v in node.inputs)
    axis = node.attrs["axis"]
    rows, count = k.size(x.shape[axis]), k.size(indices.numel)
    inner = k.size(product(x.shape[axis + 1 :]))
    outer: Dim = product(x.shape[:axis])

    def scatter(o: Expr, first: Expr, end: Expr) -> None:
        base = k.let("base", o * rows * inner)
        with k.loop(base + first * inner, base + end * inner, "i") as i:
            k.store(0, i, k.load(0, i))
        with k.loop(0, count, "j") as j:
            row = k.let("row", clipped(k, k.load(1, j), rows))
            mine = k.apply("(({0} >= {1}) & ({0} < {2}))", row, first, end, dtype="bool")
            with k.when(mine):
                target = k.let("target", base + row * inner)
                source = k.let("source", (o * count + j) * inner)
                with k.loop(0, inner, "c") as c:
                    _add(k, x.dtype, target + c, source + c)

    if outer == 1:
        with k.parallel_range(x.shape[axis], x.numel + updates.numel, "row") as (first, end):
            scatter(as_index(0), first, end)
    else:
        with k.parallel(outer, "o") as o:
            scatter(o, as_index(0), rows)


def _add(k: Loops, dtype: str, target: Expr, source: Expr) -> None:
    """result[target] += updates[source]."""
    total = k.apply("({0} + {1})", k.read(0, target), k.load(2, source), dtype=dtype)
    k.store(0, target, total)


register(
    Op(
        "scatter_add",
        Kind.OPAQUE,
        "x with slices of `updates` added along an axis at `indices`; the adjoint of gather.",
        _scatter_infer,
        _scatter_reference,
        attrs=(Attr("axis", int),),
        indexes=True,
        gradient=_scatter_gradient,
        loops=_scatter_loops,
        samples=(
            Sample(
                together(normal((6, 3)), integers("int32", 0, 6, (5, 2)), normal((5, 2, 3))),
                {"axis": 0},
                {1: {0: "N"}, 2: {0: "N"}},
                label="embedding",
            ),
            Sample(
                together(normal((40, 5)), integers("int32", 0, 40, (90,)), normal((90, 5))),
                {"axis": 0},
                {0: {0: "M"}},
                label="blocks",
            ),
            Sample(
                together(normal((2, 6, 3)), _OUTSIDE, normal((2, 5, 3))),
                {"axis": 1},
                {0: {0: "N"}, 2: {0: "N"}},
                label="clip",
            ),
            Sample(
                together(normal((4,)), integers("int64", 0, 4, (9,)), normal((9,))),
                {"axis": 0},
                label="counts",
            ),
            Sample(
                together(normal((4,)), integers("int64", 0, 4, ()), normal(())),
                {"axis": 0},
                label="scalar index",
            ),
        ),
    )
)

# take_along


def _expect_lines(op: str, x: TensorType, indices: TensorType, axis: int) -> None:
    expect_axis(op, axis, x.rank)
    expect_dtype(op, indices, "integer", "indices")
    same = indices.rank == x.rank and all(
        indices.shape[d] == x.shape[d] for d in range(x.rank) if d != axis
    )
    if not same:
        fail(op, f"indices must have the shape of {x} except along axis {axis}, received {indices}")


def _take_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("take_along", types, 2)
    x, indices = types
    _expect_lines("take_along", x, indices, attrs["axis"])
    return (x.with_shape(indices.shape),)


def _take_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    x, indices = arrays
    inside = np.clip(indices.astype(np.int64), 0, x.shape[attrs["axis"]] - 1)
    return (np.take_along_axis(x, inside, attrs["axis"]),)


def _take_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    (dy,) = cotangents
    x, indices = node.inputs
    if dy is None or not dy.type.is_float:
        return _no_gradient(2)
    zeros = filled_like(b, x, 0)
    return b.emit("scatter_add_along", zeros, indices, dy, axis=node.attrs["axis"]), None


def _take_element(e: Elements, node: Node, index: Index) -> Expr:
    axis = node.attrs["axis"]
    position = [index[d] for d in range(len(index))]
    extent = as_index(node.inputs[0].type.shape[axis])
    position[axis] = clipped(e, e.operand(1, position), extent)
    return e.operand(0, position)


register(
    Op(
        "take_along",
        Kind.INJECTIVE,
        "np.take_along_axis: each line of x along an axis read at the indices of its line.",
        _take_infer,
        _take_reference,
        attrs=(Attr("axis", int),),
        indexes=True,
        gradient=_take_gradient,
        element=_take_element,
        cost=3,
        samples=(
            Sample(
                together(normal((3, 5)), integers("int32", 0, 5, (3, 2))),
                {"axis": 1},
                {0: {0: "N"}, 1: {0: "N"}},
            ),
            Sample(
                together(normal((4, 2, 3)), integers("int64", -9, 9, (6, 2, 3))),
                {"axis": 0},
                label="clip",
            ),
        ),
    )
)

# scatter_add_along


def _scatter_along_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("scatter_add_along", types, 3)
    x, indices, updates = types
    expect_dtype("scatter_add_along", x, "number")
    expect_same_dtype("scatter_add_along", (x, updates))
    _expect_lines("scatter_add_along", x, indices, attrs["axis"])
    if updates.shape != indices.shape:
        fail("scatter_add_along", f"updates must have the shape of {indices}, received {updates}")
    return (x,)


def _scatter_along_reference(
    arrays: Sequence[Array], attrs: Attrs, sizes: Sizes
) -> tuple[Array, ...]:
    x, indices, updates = arrays
    axis = attrs["axis"]
    result = x.copy()
    position: list[Array] = list(np.indices(indices.shape, sparse=True))
    position[axis] = np.clip(indices.astype(np.int64), 0, x.shape[axis] - 1)
    with np.errstate(all="ignore"):
        np.add.at(result, tuple(position), updates)
    return (result,)


def _scatter_along_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    (dy,) = cotangents
    if dy is None or not dy.type.is_float:
        return _no_gradient(3)
    return dy, None, b.emit("take_along", dy, node.inputs[1], axis=node.attrs["axis"])


def _scatter_along_loops(k: Loops, node: Node) -> None:
    """Each iteration owns one line along the axis."""
    x, indices, _ = (v.type for v in node.inputs)
    axis = node.attrs["axis"]
    inner = k.size(product(x.shape[axis + 1 :]))
    extent, count = k.size(x.shape[axis]), k.size(indices.shape[axis])
    lines = product(d for i, d in enumerate(x.shape) if i != axis)
    with k.parallel(lines, "line") as line:
        o, c = k.let("o", line // inner), k.let("c", line % inner)
        with k.loop(0, extent, "i") as i:
            at = k.let("at", (o * extent + i) * inner + c)
            k.store(0, at, k.load(0, at))
        with k.loop(0, count, "j") as j:
            source = k.let("source", (o * count + j) * inner + c)
            row = k.let("row", clipped(k, k.load(1, source), extent))
            _add(k, x.dtype, (o * extent + row) * inner + c, source)


register(
    Op(
        "scatter_add_along",
        Kind.OPAQUE,
        "x with `updates` added in each line along an axis; the adjoint of take_along.",
        _scatter_along_infer,
        _scatter_along_reference,
        attrs=(Attr("axis", int),),
        indexes=True,
        gradient=_scatter_along_gradient,
        loops=_scatter_along_loops,
        samples=(
            Sample(
                together(normal((3, 5)), integers("int32", 0, 5, (3, 4)), normal((3, 4))),
                {"axis": 1},
                {0: {0: "N"}, 1: {0: "N"}, 2: {0: "N"}},
            ),
            Sample(
                together(normal((4, 2, 3)), integers("int64", -9, 9, (6, 2, 3)), normal((6, 2, 3))),
                {"axis": 0},
                label="clip",
            ),
        ),
    )
)
