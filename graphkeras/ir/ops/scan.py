"""Ops that walk each line along an axis in order: cumulative ops and sorting."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Size, product
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import (
    Array,
    Attr,
    Attrs,
    Gradient,
    Infer,
    Kind,
    Loops,
    Op,
    Reference,
    Sample,
    Sizes,
    register,
)
from graphkeras.ir.ops.common import (
    Number,
    distinct,
    equal_index,
    expect_axis,
    expect_count,
    expect_dtype,
    filled,
    filled_like,
    given,
    integers,
    larger,
    lowest,
    normal,
    spread,
)
from graphkeras.ir.scalar import INDEX, Const, Expr, as_index
from graphkeras.ir.types import TensorType

# cumulative ops


def _infer(name: str) -> Infer:
    def infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
        expect_count(name, types, 1)
        expect_dtype(name, types[0], "number")
        expect_axis(name, attrs["axis"], types[0].rank)
        return (types[0],)

    return infer


def _reference(ufunc: np.ufunc) -> Reference:
    def reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
        (x,), axis = arrays, attrs["axis"]
        ordered = np.flip(x, axis) if attrs["reverse"] else x
        with np.errstate(all="ignore"):
            result = ufunc.accumulate(ordered, axis, x.dtype)
        return ((np.flip(result, axis) if attrs["reverse"] else result).copy(),)

    return reference


def _loops(
    combine: Callable[[bool], str], identity: Callable[[str], Number]
) -> Callable[[Loops, Node], None]:
    """Each parallel iteration walks one line."""

    def loops(k: Loops, node: Node) -> None:
        x, axis = node.inputs[0].type, node.attrs["axis"]
        inner, extent = k.size(product(x.shape[axis + 1 :])), k.size(x.shape[axis])
        lines = product(d for i, d in enumerate(x.shape) if i != axis)
        template = combine(x.is_float)
        with k.parallel(lines, "line") as line:
            base = k.let("base", (line // inner) * extent * inner + line % inner)
            total = k.let("total", Const(x.dtype, identity(x.dtype)))
            with k.loop(0, extent, "i") as i:
                step = extent - 1 - i if node.attrs["reverse"] else i
                at = k.let("at", base + step * inner)
                k.assign(total, k.apply(template, total, k.load(0, at), dtype=x.dtype))
                k.store(0, at, total)

    return loops


def _cumsum_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    (dy,) = cotangents
    if dy is None or not dy.type.is_float:
        return (None,)
    axis, reverse = node.attrs["axis"], node.attrs["reverse"]
    return (b.emit("cumsum", dy, axis=axis, reverse=not reverse),)


def _cumprod_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    """Right where elements are 0 too, at the price of n products an element.

    With i the element and j a later result, both along the axis, result j's slope is the product
    of all elements up to j but i: the product before i times that from i + 1 to j. The latter
    comes from a running product over j of a square of elements with ones up to i.
    """
    (dy,) = cotangents
    (x,), axis, reverse = node.inputs, node.attrs["axis"], node.attrs["reverse"]
    if dy is None or not dy.type.is_float:
        return (None,)
    shape, dtype = x.type.shape, x.type.dtype
    square = (*shape[: axis + 1], *shape[axis:])
    i, j = (b.emit("iota", shape=square, axis=d, dtype="int32") for d in (axis, axis + 1))
    after, reached = ("lt", "le") if reverse else ("gt", "ge")
    factors = b.emit(
        "select",
        b.emit(after, j, i),
        spread(b, x, square, (axis,)),
        filled(b, square, dtype, 1),
    )
    between = b.emit("cumprod", factors, axis=axis + 1, reverse=reverse)
    products = b.emit("mul", between, spread(b, dy, square, (axis,)))
    later = b.emit("select", b.emit(reached, j, i), products, filled(b, square, dtype, 0))
    sums = b.emit("reduce_sum", later, axes=(axis + 1,))
    low, high = (-1, 1) if reverse else (1, -1)
    shifted = b.emit(
        "pad",
        x,
        b.constant(1, dtype),
        low=tuple(low if d == axis else 0 for d in range(len(shape))),
        high=tuple(high if d == axis else 0 for d in range(len(shape))),
        interior=(0,) * len(shape),
    )
    before = b.emit("cumprod", shifted, axis=axis, reverse=reverse)
    return (b.emit("mul", before, sums),)


def _cummax_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    """The cotangent goes to the element last seen to equal the running maximum."""
    (dy,) = cotangents
    (x,), axis, reverse = node.inputs, node.attrs["axis"], node.attrs["reverse"]
    if dy is None or not dy.type.is_float:
        return (None,)
    place = b.emit("iota", shape=x.type.shape, axis=axis, dtype="int32")
    extent = b.emit("dim", size=x.type.shape[axis], dtype="int32")
    last = b.emit("sub", extent, b.constant(1, "int32"))
    ends = b.emit("broadcast", last, shape=x.type.shape, dims=())
    if reverse:
        place = b.emit("sub", ends, place)
    seen = b.emit("select", b.emit("eq", x, node.result), place, filled_like(b, place, 0))
    source = b.emit("cummax", seen, axis=axis, reverse=reverse)
    if reverse:
        source = b.emit("sub", ends, source)
    return (b.emit("scatter_add_along", filled_like(b, x, 0), source, dy, axis=axis),)


def _register(
    name: str,
    doc: str,
    ufunc: np.ufunc,
    combine: Callable[[bool], str],
    identity: Callable[[str], Number],
    gradient: Gradient,
    special: Sample,
) -> None:
    register(
        Op(
            name,
            Kind.OPAQUE,
            doc,
            _infer(name),
            _reference(ufunc),
            attrs=(Attr("axis", int), Attr("reverse", bool, False)),
            gradient=gradient,
            loops=_loops(combine, identity),
            samples=(
                Sample(distinct((3, 5)), {"axis": 1}, {0: {0: "N"}}),
                Sample(distinct((4, 3)), {"axis": 0, "reverse": True}, {0: {0: "N"}}),
                Sample(distinct((2, 4, 3)), {"axis": 1, "reverse": True}, label="middle"),
                Sample(
                    integers("int32", -9, 9, (7,)), {"axis": 0}, differentiable=False, label="int32"
                ),
                special,
            ),
        )
    )


_register(
    "cumsum",
    "Running sum along an axis, from the end where `reverse`.",
    np.add,
    lambda is_float: "({0} + {1})",
    lambda dtype: 0,
    _cumsum_gradient,
    Sample(normal((1,)), {"axis": 0}, label="one element"),
)
_register(
    "cumprod",
    "Running product along an axis, from the end where `reverse`.",
    np.multiply,
    lambda is_float: "({0} * {1})",
    lambda dtype: 1,
    _cumprod_gradient,
    Sample(given([[2, 0, 3, 1.5], [0, 2, 0, -1]]), {"axis": 1}, label="zeros"),
)
_register(
    "cummax",
    "Running maximum along an axis, from the end where `reverse`; NaN from the first NaN on.",
    np.maximum,
    larger,
    lowest,
    _cummax_gradient,
    Sample(given([1, np.nan, 3]), {"axis": 0}, differentiable=False, label="NaN"),
)

# argsort


def _argsort_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("argsort", types, 1)
    expect_dtype("argsort", types[0], "number")
    expect_axis("argsort", attrs["axis"], types[0].rank)
    return (types[0].with_dtype("int32"),)


def _argsort_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    (x,), axis = arrays, attrs["axis"]
    if not attrs["descending"]:
        return (np.argsort(x, axis, kind="stable").astype(np.int32),)
    backwards = np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)
    order = x.shape[axis] - 1 - backwards
    missing = np.isnan(np.take_along_axis(x, order, axis))
    last = np.argsort(missing, axis, kind="stable")
    return (np.take_along_axis(order, last, axis).astype(np.int32),)


def _argsort_loops(k: Loops, node: Node) -> None:
    """Batcher's odd-even merge sort of each line's indices, in place.

    The network's comparisons do not depend on the data, and equal elements compare by their
    index, so every line's order is the one stable order. Step r of phase s compares positions
    `gap = 2^(s-r)` apart inside blocks of `2^(s+1)`.
    """
    x, axis = node.inputs[0].type, node.attrs["axis"]
    extent, inner = k.size(x.shape[axis]), k.size(product(x.shape[axis + 1 :]))
    lines = product(d for i, d in enumerate(x.shape) if i != axis)
    with k.parallel(lines, "line") as line:
        base = k.let("base", (line // inner) * extent * inner + line % inner)
        with k.loop(0, extent, "i") as i:
            k.store(0, base + i * inner, k.apply("{T}({0})", i, dtype="int32"))
        with k.loop(0, _phases(x, axis), "s") as s:
            size = k.let("size", k.apply("({T}(1) << {0})", s, dtype=INDEX))
            with k.when(size < extent), k.loop(0, s + 1, "r") as r:
                gap = k.let("gap", k.apply("({0} >> {1})", size, r, dtype=INDEX))
                _merge_step(k, node, base, size, gap)


def _phases(x: TensorType, axis: int) -> int:
    """Phases that sort a line: its length's logarithm, or that of any int32 length."""
    extent = x.shape[axis]
    return 31 if isinstance(extent, Size) else max(extent - 1, 0).bit_length()


def _merge_step(k: Loops, node: Node, base: Expr, size: Expr, gap: Expr) -> None:
    """Compares every position with the one `gap` further, where both are in one block."""
    x, axis = node.inputs[0].type, node.attrs["axis"]
    extent, inner = k.size(x.shape[axis]), k.size(product(x.shape[axis + 1 :]))
    start = k.let("start", gap % size)
    last = k.apply("max({0}, {T}(0))", extent - gap - start, dtype=INDEX)
    with k.loop(0, last, "t") as t:
        low = k.let("low", start + t)
        block = size * 2
        even = equal_index((t // gap) % 2, as_index(0))
        together = equal_index(low // block, (low + gap) // block)
        with k.when(k.apply("({0} & {1})", even, together, dtype="bool")):
            _compare_exchange(k, node, base, base + low * inner, base + (low + gap) * inner)


def _compare_exchange(k: Loops, node: Node, base: Expr, at: Expr, other: Expr) -> None:
    """Orders the indices stored at two offsets of the result."""
    x, axis = node.inputs[0].type, node.attrs["axis"]
    inner = k.size(product(x.shape[axis + 1 :]))
    first, second = k.let("first", k.read(0, at)), k.let("second", k.read(0, other))
    a, b = (
        k.let(name, k.load(0, base + k.apply("{T}({0})", i, dtype=INDEX) * inner))
        for name, i in (("a", first), ("b", second))
    )
    sign = ">" if node.attrs["descending"] else "<"
    sooner = f"(({{1}} {sign} {{0}}) | (({{0}} != {{0}}) & ({{1}} == {{1}})))"
    later = f"(({{0}} {sign} {{1}}) | (({{1}} != {{1}}) & ({{0}} == {{0}})))"
    swap = k.apply(
        f"({sooner} | (({{3}} < {{2}}) & (not {later})))", a, b, first, second, dtype="bool"
    )
    with k.when(swap):
        k.store(0, at, second)
        k.store(0, other, first)


_TIED = integers("int32", 0, 4, (3, 11))

register(
    Op(
        "argsort",
        Kind.OPAQUE,
        "int32 positions that sort each line along an axis, stable; NaN comes last in any order.",
        _argsort_infer,
        _argsort_reference,
        attrs=(Attr("axis", int), Attr("descending", bool, False)),
        loops=_argsort_loops,
        cost=50,
        samples=(
            Sample(normal((3, 7)), {"axis": 1}, {0: {0: "N"}}),
            Sample(normal((5, 3)), {"axis": 0, "descending": True}, {0: {0: "N"}}),
            Sample(normal((2, 9, 3)), {"axis": 1}, label="middle"),
            Sample(_TIED, {"axis": 1}, label="ties"),
            Sample(_TIED, {"axis": 1, "descending": True}, label="ties descending"),
            Sample(given([3, np.nan, 1, np.nan, np.inf, -np.inf]), {"axis": 0}, label="NaN"),
            Sample(
                given([3, np.nan, 1, np.nan, np.inf, -np.inf]),
                {"axis": 0, "descending": True},
                label="NaN descending",
            ),
            Sample(normal((1,)), {"axis": 0}, label="one element"),
            Sample(integers("uint32", 0, 2**32, (100,)), {"axis": 0}, label="shuffle"),
        ),
    )
)
