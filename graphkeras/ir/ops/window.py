"""Sums and maxima over sliding windows (pooling).

Every attribute has one entry a dim, batch and channels included (window 1, stride 1, no
padding). Windows overlap where the stride is smaller. Padding counts as the identity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product as positions

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Dim, Size, product
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import (
    Array,
    Attr,
    Attrs,
    Gradient,
    Index,
    Infer,
    Kind,
    Loops,
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
from graphkeras.ir.scalar import INDEX, Const, Expr, as_index
from graphkeras.ir.types import TensorType

_ATTRS = (Attr("window", tuple), Attr("strides", tuple), Attr("padding", tuple))

UNROLLED = 32
"""Windows up to this many positions are written out in code, larger ones are loops."""


def _trivial(attrs: Attrs, d: int) -> bool:
    """Whether windows do not extend along a dim."""
    return bool(
        attrs["window"][d] == 1
        and attrs["strides"][d] == 1
        and tuple(attrs["padding"][d]) == (0, 0)
    )


def _pooled(op: str, x: TensorType, attrs: Attrs) -> TensorType:
    """Checks the attributes; the type of one number a window."""
    for name in ("window", "strides", "padding"):
        expect_length(op, name, attrs[name], x.rank)
    expect_positive(op, "window", attrs["window"])
    expect_positive(op, "strides", attrs["strides"])
    shape: list[Dim] = []
    for d, extent in enumerate(x.shape):
        window, stride, (low, high) = (attrs[n][d] for n in ("window", "strides", "padding"))
        if _trivial(attrs, d):
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
        return (_pooled(name, types[0], attrs),)

    return infer


def _windows(x: Array, attrs: Attrs, outside: Number) -> Array:
    """[*result dims, *window dims]."""
    low, high = ([int(p[side]) for p in attrs["padding"]] for side in (0, 1))
    padded = pad_array(x, outside, low, high, [0] * x.ndim)
    view = sliding_window_view(padded, attrs["window"])
    return view[tuple(slice(None, None, s) for s in attrs["strides"])]


def _reference(ufunc: np.ufunc, identity: Callable[[str], Number]) -> Reference:
    def reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
        (x,) = arrays
        view = _windows(x, attrs, identity(str(x.dtype)))
        with np.errstate(all="ignore"):
            return (ufunc.reduce(view, tuple(range(x.ndim, 2 * x.ndim)), x.dtype),)

    return reference


def _reduction(
    combine: Callable[[bool], str], identity: Callable[[str], Number]
) -> Callable[[Node], Reduction]:
    def reduction(node: Node) -> Reduction:
        source, attrs = node.inputs[0].type, node.attrs

        def index(out: Index, red: Sequence[Expr]) -> tuple[list[Expr], list[Expr]]:
            where: list[Expr] = []
            conditions: list[Expr] = []
            for d, extent in enumerate(source.shape):
                if _trivial(attrs, d):
                    where.append(out[d])
                    continue
                window, stride, (low, _) = (attrs[n][d] for n in ("window", "strides", "padding"))
                at = out[d] * stride + red[d]
                at = at - low if low >= 0 else at + -low
                if low > 0:
                    conditions.append(at >= 0)
                last = (node.result.type.shape[d] - 1) * stride + window - 1 - low
                if last - extent >= 0:
                    conditions.append(at < extent)
                where.append(at)
            return where, conditions

        return Reduction(
            tuple(attrs["window"]),
            index,
            combine(source.is_float),
            identity(source.dtype),
            window=True,
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
    return (b.emit("window_max_grad", node.inputs[0], dy, **node.attrs),)


def _pool_samples(
    make: Callable[..., Callable[[np.random.Generator], Sequence[Array]]],
) -> tuple[Sample, ...]:
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


def _with_dy(sample: Sample) -> Sample:
    """A pooling sample as one of `window_max_grad`."""

    def make(rng: np.random.Generator) -> list[Array]:
        (x,) = sample.make(rng)
        pooled = _pooled("window_max_grad", TensorType(x.shape), sample.attrs)
        return [x, np.asarray(rng.standard_normal(pooled.concrete({})), "float32")]

    symbolic = {0: {0: "N"}, 1: {0: "N"}} if sample.symbolic else {}
    return Sample(make, sample.attrs, symbolic, differentiable=False, label=sample.label)


def _register(
    name: str,
    doc: str,
    ufunc: np.ufunc,
    combine: Callable[[bool], str],
    identity: Callable[[str], Number],
    gradient: Gradient,
    samples: tuple[Sample, ...],
) -> None:
    integer_attrs = {"window": (3,), "strides": (2,), "padding": ((1, 1),)}
    register(
        Op(
            name,
            Kind.REDUCE,
            doc,
            _infer(name),
            _reference(ufunc, identity),
            attrs=_ATTRS,
            gradient=gradient,
            reduction=_reduction(combine, identity),
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
    _pool_samples(normal),
)
_register(
    "window_max",
    "Largest element of each window; NaN where there is one.",
    np.maximum,
    larger,
    lowest,
    _max_gradient,
    _pool_samples(distinct),
)

# window_max_grad


def _grad_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("window_max_grad", types, 2)
    x, dy = types
    expect_dtype("window_max_grad", x, "float")
    expected = _pooled("window_max_grad", x, attrs)
    if dy != expected:
        fail("window_max_grad", f"the cotangent must be {expected} for {x}, received {dy}")
    return (x,)


def _beats(value: Array, best: Array) -> Array:
    """Whether a later element replaces the best one: larger, or the first NaN."""
    return np.asarray((value > best) | ((value != value) & (best == best)))


def _grad_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    x, dy = arrays
    places = np.arange(x.size).reshape(x.shape)
    where, values = _windows(places, attrs, -1), _windows(x, attrs, 0)
    best_place, best = np.full(dy.shape, -1), np.zeros(dy.shape, x.dtype)
    for position in np.ndindex(*attrs["window"]):
        place, value = where[(..., *position)], values[(..., *position)]
        wins = (place >= 0) & ((best_place < 0) | _beats(value, best))
        best_place, best = np.where(wins, place, best_place), np.where(wins, value, best)
    dx = np.zeros(x.size, x.dtype)
    np.add.at(dx, best_place.ravel(), dy.ravel())
    return (dx.reshape(x.shape),)


class _Pool:
    """Extents of a pooling: leading dims without windows, dims with, trailing dims without."""

    def __init__(self, node: Node) -> None:
        x, dy = node.inputs
        moving = [d for d in range(x.type.rank) if not _trivial(node.attrs, d)]
        first, end = (moving[0], moving[-1] + 1) if moving else (0, 0)
        self.outer: Dim = product(x.type.shape[:first])
        self.inner: Dim = product(x.type.shape[end:])
        self.x = x.type.shape[first:end]
        self.y = dy.type.shape[first:end]
        self.window: tuple[int, ...] = tuple(node.attrs["window"][first:end])
        self.strides: tuple[int, ...] = tuple(node.attrs["strides"][first:end])
        self.low: tuple[int, ...] = tuple(lo for lo, _ in node.attrs["padding"][first:end])
        self.dtype = x.type.dtype

    def offset(self, k: Loops, y: Sequence[Expr], within: Sequence[Expr]) -> Expr:
        """Row-major offset among the window dims of x for a position in a window.

        Positions in the padding are moved to the nearest element. That element is in the same
        window and comes first at its own position or earlier, so the first maximum is the same.
        """
        flat = as_index(0)
        for d, extent in enumerate(self.x):
            at = y[d] * self.strides[d] + within[d]
            at = at - self.low[d] if self.low[d] >= 0 else at + -self.low[d]
            if self.low[d] > 0:
                at = k.apply("max({0}, {T}(0))", at, dtype=INDEX)
            at = k.apply("min({0}, {1})", at, as_index(extent - 1), dtype=INDEX)
            flat = flat * as_index(extent) + at
        return flat


def _grad_loops(k: Loops, node: Node) -> None:
    """One parallel iteration an outer position: it clears its elements, then walks its windows."""
    pool = _Pool(node)
    inner = k.size(pool.inner)
    x_size, y_size = k.size(product(pool.x)), k.size(product(pool.y))
    small = int(np.prod(pool.window)) <= UNROLLED
    with k.parallel(pool.outer, "o") as o:
        base = k.let("base", o * x_size * inner)
        with k.loop(base, base + x_size * inner, "i") as i:
            k.store(0, i, Const(pool.dtype, 0))
        with k.loop(0, y_size, "w") as w:
            y = _unravel(k, w, pool.y)
            source = k.let("source", (o * y_size + w) * inner)
            (_small_window if small else _large_window)(k, pool, y, base, source)


def _unravel(k: Loops, flat: Expr, shape: Sequence[Dim]) -> list[Expr]:
    position: list[Expr] = []
    for d in range(len(shape)):
        stride = k.size(product(shape[d + 1 :]))
        at = flat // stride
        position.append(k.let(f"y{d}", at if d == 0 else at % k.size(shape[d])))
    return position


def _replaces(k: Loops, value: Expr, best: Expr) -> Expr:
    return k.apply("(({0} > {1}) | (({0} != {0}) & ({1} == {1})))", value, best, dtype="bool")


def _small_window(k: Loops, pool: _Pool, y: Sequence[Expr], base: Expr, source: Expr) -> None:
    """The positions written out: a loop over channels without branches, fit for vectors."""
    inner = k.size(pool.inner)
    offsets = []
    for i, within in enumerate(positions(*(range(n) for n in pool.window))):
        flat = pool.offset(k, y, [as_index(p) for p in within])
        offsets.append(k.let(f"p{i}", base + flat * inner))
    with k.loop(0, inner, "c") as c:
        best = k.let("best", k.load(0, offsets[0] + c))
        chosen = k.let("chosen", Const("int32", 0))
        for i, offset in enumerate(offsets[1:], 1):
            value = k.let(f"x{i}", k.load(0, offset + c))
            wins = k.let(f"wins{i}", _replaces(k, value, best))
            k.assign(best, _choose(k, wins, value, best))
            k.assign(chosen, _choose(k, wins, Const("int32", i), chosen))
        dy = k.let("dy", k.load(1, source + c))
        for i, offset in enumerate(offsets):
            share = k.apply(f"({{0}} if {{1}} == {i} else {{T}}(0))", dy, chosen, dtype=pool.dtype)
            total = k.apply("({0} + {1})", k.read(0, offset + c), share, dtype=pool.dtype)
            k.store(0, offset + c, total)


def _choose(k: Loops, condition: Expr, a: Expr, b: Expr) -> Expr:
    return k.apply("({1} if {0} else {2})", condition, a, b, dtype=b.dtype)


def _large_window(k: Loops, pool: _Pool, y: Sequence[Expr], base: Expr, source: Expr) -> None:
    """The positions as a loop that remembers the offset of the best element."""
    inner = k.size(pool.inner)
    with k.loop(0, inner, "c") as c:
        corner = pool.offset(k, y, [as_index(0)] * len(y))
        place = k.let("place", base + corner * inner + c)
        best = k.let("best", k.load(0, place))
        with k.loop(1, int(np.prod(pool.window)), "p") as p:
            within = [
                (p // int(np.prod(pool.window[d + 1 :]))) % n for d, n in enumerate(pool.window)
            ]
            at = k.let("at", base + pool.offset(k, y, within) * inner + c)
            value = k.let("value", k.load(0, at))
            with k.when(_replaces(k, value, best)):
                k.assign(best, value)
                k.assign(place, at)
        total = k.apply("({0} + {1})", k.read(0, place), k.load(1, source + c), dtype=pool.dtype)
        k.store(0, place, total)


_TIES = {"window": (1, 2, 2, 1), "strides": (1, 1, 1, 1), "padding": ((0, 0),) * 4}

register(
    Op(
        "window_max_grad",
        Kind.OPAQUE,
        "Adds each window's cotangent to the first of its largest elements in row-major order.",
        _grad_infer,
        _grad_reference,
        attrs=_ATTRS,
        loops=_grad_loops,
        samples=(
            *(_with_dy(sample) for sample in _pool_samples(distinct)),
            _with_dy(
                Sample(
                    lambda rng: [np.asarray(rng.integers(0, 2, (2, 4, 4, 3)), "float32")],
                    _TIES,
                    {0: {0: "N"}},
                    label="ties",
                )
            ),
        ),
    )
)
