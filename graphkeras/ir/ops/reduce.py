"""Reductions over axes. The reduced dims disappear from the shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import product
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import (
    Array,
    Attr,
    Attrs,
    Gradient,
    Index,
    Infer,
    Kind,
    Op,
    Reduction,
    Reference,
    Sample,
    Sizes,
    register,
)
from graphkeras.ir.ops.common import (
    Number,
    booleans,
    distinct,
    expect_axes,
    expect_count,
    expect_dtype,
    given,
    highest,
    integers,
    larger,
    lowest,
    normal,
    smaller,
    spread,
    transposed,
)
from graphkeras.ir.scalar import Expr
from graphkeras.ir.types import TensorType


def _infer(name: str, group: str) -> Infer:
    def infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
        expect_count(name, types, 1)
        expect_dtype(name, types[0], group)
        expect_axes(name, attrs["axes"], types[0].rank)
        kept = (d for i, d in enumerate(types[0].shape) if i not in attrs["axes"])
        return (types[0].with_shape(tuple(kept)),)

    return infer


def _reference(ufunc: np.ufunc, identity: Callable[[str], Number]) -> Reference:
    def reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
        (x,) = arrays
        start = np.asarray(identity(str(x.dtype)), x.dtype)
        with np.errstate(all="ignore"):
            result = ufunc.reduce(x, tuple(attrs["axes"]), x.dtype, initial=start)
        return (np.asarray(result, x.dtype),)

    return reference


def _reduction(
    combine: Callable[[bool], str], identity: Callable[[str], Number]
) -> Callable[[Node], Reduction]:
    def reduction(node: Node) -> Reduction:
        source, axes = node.inputs[0].type, tuple(sorted(node.attrs["axes"]))

        def index(out: Index, red: Sequence[Expr]) -> tuple[list[Expr], list[Expr]]:
            kept = iter(range(len(out)))
            position = [
                red[axes.index(d)] if d in axes else out[next(kept)] for d in range(source.rank)
            ]
            return position, []

        return Reduction(
            tuple(source.shape[d] for d in axes),
            index,
            combine(source.is_float),
            identity(source.dtype),
            is_sum=source.is_float and node.op == "reduce_sum",
        )

    return reduction


def _register(
    name: str,
    doc: str,
    ufunc: np.ufunc,
    combine: Callable[[bool], str],
    identity: Callable[[str], Number],
    gradient: Gradient | None,
    samples: tuple[Sample, ...],
    group: str = "number",
) -> None:
    register(
        Op(
            name,
            Kind.REDUCE,
            doc,
            _infer(name, group),
            _reference(ufunc, identity),
            attrs=(Attr("axes", tuple),),
            gradient=gradient,
            reduction=_reduction(combine, identity),
            samples=samples,
        )
    )


def _sum_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    (dy,) = cotangents
    x = node.inputs[0].type
    if dy is None or not x.is_float:
        return (None,)
    return (spread(b, dy, x.shape, node.attrs["axes"]),)


def _extreme_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    """The cotangent goes to the extreme elements, in equal parts where several tie."""
    (dy,) = cotangents
    (x,), axes = node.inputs, node.attrs["axes"]
    if dy is None or not x.type.is_float:
        return (None,)
    chosen = b.emit("eq", x, spread(b, node.result, x.type.shape, axes))
    mask = b.emit("cast", chosen, dtype=x.type.dtype)
    each = b.emit("div", dy, b.emit("reduce_sum", mask, axes=axes))
    return (b.emit("mul", mask, spread(b, each, x.type.shape, axes)),)


def _prod_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    """Each element's slope is the product of the others, right even where elements are 0.

    The reduced axes become one last axis; the others' product is the running product before
    an element times the running product after it.
    """
    (dy,) = cotangents
    (x,), axes = node.inputs, sorted(node.attrs["axes"])
    if dy is None or not x.type.is_float:
        return (None,)
    shape = x.type.shape
    perm = [d for d in range(len(shape)) if d not in axes] + axes
    moved = transposed(b, x, perm)
    lines = (*node.result.type.shape, product(shape[d] for d in axes))
    flat = b.emit("reshape", moved, shape=lines)
    others = b.emit("mul", _product_before(b, flat, False), _product_before(b, flat, True))
    slopes = b.emit("reshape", others, shape=moved.type.shape)
    back = transposed(b, slopes, [perm.index(d) for d in range(len(shape))])
    return (b.emit("mul", back, spread(b, dy, shape, axes)),)


def _product_before(b: Builder, x: Value, reverse: bool) -> Value:
    """Product of the elements before each along the last axis (after it, if `reverse`)."""
    axis = x.type.rank - 1
    zeros = (0,) * axis
    low, high = (-1, 1) if reverse else (1, -1)
    shifted = b.emit(
        "pad",
        x,
        b.constant(1, x.type.dtype),
        low=(*zeros, low),
        high=(*zeros, high),
        interior=(*zeros, 0),
    )
    return b.emit("cumprod", shifted, axis=axis, reverse=reverse)


_INT = Sample(integers("int32", -9, 9, (4, 5)), {"axes": (1,)}, differentiable=False, label="int32")
_NAN = Sample(
    given([[1, np.nan, 2], [-np.inf, 0, 3]]), {"axes": (1,)}, differentiable=False, label="NaN"
)
_EXTREMES = (
    Sample(distinct((3, 4)), {"axes": (1,)}, {0: {0: "N"}}),
    Sample(distinct((3, 4, 5)), {"axes": (0, 2)}, {0: {0: "N"}}),
    Sample(distinct((3, 4)), {"axes": (0, 1)}, label="to scalar"),
    _INT,
    _NAN,
)

_register(
    "reduce_sum",
    "Sum; wraps around on integers.",
    np.add,
    lambda is_float: "({0} + {1})",
    lambda dtype: 0,
    _sum_gradient,
    (
        Sample(normal((3, 5)), {"axes": (1,)}, {0: {0: "N"}}, label="rows"),
        Sample(normal((3, 5)), {"axes": (0,)}, {0: {0: "N"}}, label="columns"),
        Sample(normal((3, 4, 5)), {"axes": (0, 1)}, {0: {0: "N"}}, label="channels"),
        Sample(normal((3, 4, 5)), {"axes": (0, 2)}),
        Sample(normal((3, 4)), {"axes": (0, 1)}, {0: {0: "N"}}, label="to scalar"),
        Sample(normal((3, 1, 4)), {"axes": (1,)}, label="size 1"),
        Sample(normal((3, 4)), {"axes": ()}, label="no axis"),
        Sample(normal((3, 130)), {"axes": (1,)}, label="long"),
        _INT,
        _NAN,
    ),
)
_register(
    "reduce_max",
    "Largest element; NaN where there is one. Ties share the gradient equally.",
    np.maximum,
    larger,
    lowest,
    _extreme_gradient,
    _EXTREMES,
)
_register(
    "reduce_min",
    "Smallest element; NaN where there is one. Ties share the gradient equally.",
    np.minimum,
    smaller,
    highest,
    _extreme_gradient,
    _EXTREMES,
)
_register(
    "reduce_prod",
    "Product; wraps around on integers.",
    np.multiply,
    lambda is_float: "({0} * {1})",
    lambda dtype: 1,
    _prod_gradient,
    (
        Sample(normal((3, 4)), {"axes": (1,)}, {0: {0: "N"}}),
        Sample(normal((2, 3, 4)), {"axes": (0, 2)}, label="two axes"),
        Sample(given([[1.5, 0, 2], [0, 3, 0]]), {"axes": (1,)}, label="zeros"),
        _INT,
    ),
)
_BOOLS = (
    Sample(booleans((3, 2)), {"axes": (1,)}, {0: {0: "N"}}, differentiable=False),
    Sample(booleans((3, 2)), {"axes": (0, 1)}, differentiable=False),
)
_register(
    "reduce_and",
    "Whether all are true.",
    np.logical_and,
    lambda is_float: "({0} & {1})",
    lambda dtype: True,
    None,
    _BOOLS,
    "bool",
)
_register(
    "reduce_or",
    "Whether any is true.",
    np.logical_or,
    lambda is_float: "({0} | {1})",
    lambda dtype: False,
    None,
    _BOOLS,
    "bool",
)
