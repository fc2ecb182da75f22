"""Sums and maxima over sliding windows (pooling).

Every attribute has one entry a dim, batch and channels included (window 1, stride 1, no
padding). Windows overlap where the stride is smaller. Padding counts as the identity.
The gradient of the maximum is in `window_grad.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Dim, Shape, Size
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
    distinct,
    expect_count,
    expect_dtype,
    expect_length,
    expect_positive,
    fail,
    given,
    integers,
    larger,
    lowest,
    normal,
)
from graphkeras.ir.ops.slice_pad import pad_array
from graphkeras.ir.scalar import Expr, as_index, greatest, least
from graphkeras.ir.types import TensorType

WINDOW_ATTRS = (Attr("window", tuple), Attr("strides", tuple), Attr("padding", tuple))

MAX_POSITIONS = 32
"""Windows up to this many positions remember their winner for the gradient of the maximum."""


def is_trivial(attrs: Attrs, d: int) -> bool:
    """Whether windows do not extend along a dim."""
    return bool(
        attrs["window"][d] == 1
        and attrs["strides"][d] == 1
        and tuple(attrs["padding"][d]) == (0, 0)
    )


def pooled_type(op: str, x: TensorType, attrs: Attrs) -> TensorType:
    """Checks the attributes; the type of one number a window."""
    for name in ("window", "strides", "padding"):
        expect_length(op, name, attrs[name], x.rank)
    expect_positive(op, "window", attrs["window"])
    expect_positive(op, "strides", attrs["strides"])
    shape: list[Dim] = []
    for d, extent in enumerate(x.shape):
        window, stride, (low, high) = (attrs[n][d] for n in ("window", "strides", "padding"))
        if is_trivial(attrs, d):
            shape.append(extent)
            continue
        if isinstance(extent, Size):
            fail(op, f"a window cannot slide along the run-time size {extent} (dim {d} of {x})")
        if low >= window or high >= window:
            fail(op, f"padding {(low, high)} of dim {d} must be smaller than its window {window}")
        room = extent + low + high - window
        if room < 0:
            fail(op, f"the window {window} of dim {d} does not fit into {extent + low + high}")
        shape.append(room // stride + 1)
    return x.with_shape(tuple(shape))


def _infer(name: str) -> Infer:
    def infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
        expect_count(name, types, 1)
        expect_dtype(name, types[0], "number")
        return (pooled_type(name, types[0], attrs),)

    return infer


def window_view(x: Array, attrs: Attrs, outside: Number) -> Array:
    """[*result dims, *window dims]."""
    low, high = ([int(p[side]) for p in attrs["padding"]] for side in (0, 1))
    padded = pad_array(x, outside, low, high, [0] * x.ndim)
    # Not along the other dims: NumPy refuses windows of 1 in a batch of 0.
    axes = tuple(d for d, size in enumerate(attrs["window"]) if size > 1)
    view = sliding_window_view(padded, [attrs["window"][d] for d in axes], axes)
    view = np.expand_dims(view, [x.ndim + d for d in range(x.ndim) if d not in axes])
    return view[tuple(slice(None, None, s) for s in attrs["strides"])]


def _reference(ufunc: np.ufunc, identity: Callable[[str], Number]) -> Reference:
    def reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
        (x,) = arrays
        view = window_view(x, attrs, identity(str(x.dtype)))
        with np.errstate(all="ignore"):
            return (ufunc.reduce(view, tuple(range(x.ndim, 2 * x.ndim)), x.dtype),)

    return reference


def place(
    attrs: Attrs, x: Shape, y: Shape, out: Index, within: Sequence[Expr], clamp: bool
) -> tuple[list[Expr], list[Expr]]:
    """Where in x a position of a window lies, and the conditions to lie inside x.

    With `clamp`, a position in the padding is moved to the nearest element. As padding is
    narrower than the window, that element is in the same window.
    """
    where: list[Expr] = []
    conditions: list[Expr] = []
    for d, extent in enumerate(x):
        if is_trivial(attrs, d):
            where.append(out[d])
            continue
        size, count = x[d], y[d]
        assert isinstance(size, int)
        assert isinstance(count, int)
        window, stride, (low, _) = (attrs[n][d] for n in ("window", "strides", "padding"))
        at = out[d] * stride + within[d]
        at = at - low if low >= 0 else at + -low
        inside = at
        if low > 0:
            conditions.append(at >= 0)
            inside = greatest(inside, as_index(0))
        if (count - 1) * stride + window - 1 - low >= size:
            conditions.append(at < extent)
            inside = least(inside, as_index(size - 1))
        where.append(inside if clamp else at)
    return where, conditions


def _reduction(
    combine: Callable[[bool], str], identity: Callable[[str], Number], twice: bool
) -> Callable[[Node], Reduction]:
    """`twice`: an element may be combined twice, so positions in the padding need no test."""

    def reduction(node: Node) -> Reduction:
        source, attrs = node.inputs[0].type, node.attrs

        def index(out: Index, red: Sequence[Expr]) -> tuple[list[Expr], list[Expr]]:
            shape = node.result.type.shape
            where, conditions = place(attrs, source.shape, shape, out, red, clamp=twice)
            return where, [] if twice else conditions

        return Reduction(
            tuple(attrs["window"]),
            index,
            combine(source.is_float),
            identity(source.dtype),
            window=True,
            overlaps=any(w > s for w, s in zip(attrs["window"], attrs["strides"], strict=True)),
        )

    return reduction


def _sum_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    """Each element sums the cotangents of the windows that hold it: a window sum again."""
    (dy,) = cotangents
    x, attrs = node.inputs[0].type, node.attrs
    if dy is None or not dy.type.is_float:
        return (None,)
    low: list[Dim] = []
    high: list[Dim] = []
    for d, extent in enumerate(x.shape):
        window, stride, before = attrs["window"][d], attrs["strides"][d], attrs["padding"][d][0]
        spread = (dy.type.shape[d] - 1) * stride + 1
        low.append(window - 1 - before)
        high.append(extent - spread + before)
    spread_out = b.emit(
        "pad",
        dy,
        b.constant(0, dy.type.dtype),
        low=tuple(low),
        high=tuple(high),
        interior=tuple(s - 1 for s in attrs["strides"]),
    )
    rank = x.rank
    summed = b.emit(
        "window_sum",
        spread_out,
        window=attrs["window"],
        strides=(1,) * rank,
        padding=((0, 0),) * rank,
    )
    return (summed,)


def _max_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    (dy,) = cotangents
    if dy is None or not dy.type.is_float:
        return (None,)
    (x,) = node.inputs
    if np.prod(node.attrs["window"]) > MAX_POSITIONS:
        return (b.emit("window_max_grad", x, dy, **node.attrs),)
    winner = b.emit("window_argmax", x, node.result, **node.attrs)
    return (b.emit("window_scatter", dy, winner, shape=x.type.shape, **node.attrs),)


def pool_samples(
    make: Callable[..., Callable[[np.random.Generator], Sequence[Array]]],
) -> tuple[Sample, ...]:
    """Poolings to try, on operands made by `make`."""

    def attrs(
        window: tuple[int, ...],
        strides: tuple[int, ...],
        padding: tuple[tuple[int, int], ...] | None = None,
    ) -> dict[str, object]:
        return {
            "window": window,
            "strides": strides,
            "padding": padding or ((0, 0),) * len(window),
        }

    batch = {0: {0: "N"}}
    return (
        Sample(make((2, 4, 6, 3)), attrs((1, 2, 2, 1), (1, 2, 2, 1)), batch, label="2x2"),
        Sample(
            make((2, 5, 6, 2)),
            attrs((1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (0, 1), (0, 0))),
            batch,
            label="3x3 same",
        ),
        Sample(make((1, 7, 2)), attrs((1, 3, 1), (1, 1, 1)), batch, label="overlapping"),
        Sample(make((1, 8, 1)), attrs((1, 2, 1), (1, 3, 1)), label="gaps"),
        Sample(
            make((2, 7, 5, 1)),
            attrs((1, 2, 3, 1), (1, 2, 1, 1), ((0, 0), (-1, 1), (2, -2), (0, 0))),
            label="crop",
        ),
        Sample(make((3, 4)), attrs((2, 2), (1, 1)), label="over every dim"),
        Sample(
            make((1, 4, 5, 4, 2)),
            attrs((1, 2, 2, 2, 1), (1, 2, 2, 2, 1), ((0, 0), (0, 0), (0, 1), (0, 0), (0, 0))),
            label="3D",
        ),
        Sample(make((2, 7, 7, 2)), attrs((1, 7, 7, 1), (1, 1, 1, 1)), batch, label="global"),
    )


def _register(
    name: str,
    doc: str,
    ufunc: np.ufunc,
    combine: Callable[[bool], str],
    identity: Callable[[str], Number],
    gradient: Gradient,
    samples: tuple[Sample, ...],
    twice: bool = False,
) -> None:
    integer_attrs = {"window": (3,), "strides": (2,), "padding": ((1, 1),)}
    register(
        Op(
            name,
            Kind.REDUCE,
            doc,
            _infer(name),
            _reference(ufunc, identity),
            attrs=WINDOW_ATTRS,
            gradient=gradient,
            reduction=_reduction(combine, identity, twice),
            samples=(
                *samples,
                Sample(
                    integers("int32", -9, 9, (9,)),
                    integer_attrs,
                    differentiable=False,
                    label="int32",
                ),
                Sample(
                    given([1, 2, np.nan, 3, -np.inf, 4, 5]),
                    integer_attrs,
                    differentiable=False,
                    label="NaN",
                ),
            ),
        )
    )


_register(
    "window_sum",
    "Sum over each window.",
    np.add,
    lambda is_float: "({0} + {1})",
    lambda dtype: 0,
    _sum_gradient,
    pool_samples(normal),
)
_register(
    "window_max",
    "Largest element of each window; NaN where there is one.",
    np.maximum,
    larger,
    lowest,
    _max_gradient,
    pool_samples(distinct),
    twice=True,
)
