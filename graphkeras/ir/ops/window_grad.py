"""The gradient of the maximum over windows: who won each window, and what the winner gets.

The winner of a window is the first of its largest elements in row-major order (the first NaN
where there is one), as in Keras. Its place in the window is one small number::

    x  1 5 | 2 2      window_max  5 2      window_argmax  1 0      window_scatter   0 dy0 | dy1 0
       0 3 | 1 2                                                                    0  0  |  0  0

`window_argmax` is made beside the maximum, while the window is at hand; a byte a window is all
that the backward pass keeps. `window_scatter` is written from the side of the elements of x, so
that it is elementwise: every element asks the windows that hold it (one, where windows do not
overlap) whether it won there. It so fuses with its readers, and channels fill vectors.

For windows of more than `MAX_POSITIONS` positions, `window_max_grad` searches every window again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as combinations

import numpy as np

from graphkeras.ir.dims import Dim, Shape, Size, extents, product
from graphkeras.ir.graph import Node
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
    Scattered,
    Sizes,
    register,
)
from graphkeras.ir.ops.common import (
    Make,
    distinct,
    expect_count,
    expect_dtype,
    expect_length,
    fail,
    given,
)
from graphkeras.ir.ops.window import (
    MAX_POSITIONS,
    WINDOW_ATTRS,
    is_trivial,
    place,
    pool_samples,
    pooled_type,
    window_view,
)
from graphkeras.ir.scalar import INDEX, Apply, Const, Expr, as_index, conjunction
from graphkeras.ir.types import TensorType

N = Size.symbol("N")
CODE = "uint8"
"""Dtype of a place in a window."""
NOWHERE = 255
"""A place that no window has."""


# references


def _winners(x: Array, largest: Array, attrs: Attrs) -> Array:
    """Place in each window of the first element that is `largest` or NaN; else the last place."""
    inside = _places(x.shape, attrs) >= 0
    values = window_view(x, attrs, 0).reshape(inside.shape)
    wins = inside & ((values == largest[..., None]) | (values != values))
    return np.asarray(np.where(wins.any(-1), wins.argmax(-1), inside.shape[-1] - 1))


def _scattered(dy: Array, winners: Array, shape: tuple[int, ...], attrs: Attrs) -> Array:
    """Zeros of a shape, with every element of dy added at the winner of its window."""
    places = _places(shape, attrs)
    last = places.shape[-1] - 1
    chosen = np.take_along_axis(places, np.minimum(winners, last)[..., None].astype(int), -1)
    kept = (winners <= last) & (chosen[..., 0] >= 0)
    dx = np.zeros(int(np.prod(shape)), dy.dtype)
    np.add.at(dx, chosen[..., 0][kept], dy[kept])
    return dx.reshape(shape)


def _places(shape: tuple[int, ...], attrs: Attrs) -> Array:
    """[*result dims, positions]: row-major offset in x of every position, -1 in the padding."""
    offsets = np.arange(int(np.prod(shape))).reshape(shape)
    view = window_view(offsets, attrs, -1)
    return view.reshape(*view.shape[: len(shape)], int(np.prod(attrs["window"])))


# window_argmax


def _argmax_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    op = "window_argmax"
    expect_count(op, types, 2)
    x, largest = types
    expect_dtype(op, x, "float")
    expected = pooled_type(op, x, attrs)
    if largest != expected:
        fail(op, f"the maxima must be {expected} for {x}, received {largest}")
    count = int(np.prod(attrs["window"]))
    if count > MAX_POSITIONS:
        fail(op, f"the window has {count} positions; expected at most {MAX_POSITIONS}")
    return (largest.with_dtype(CODE),)


def _argmax_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    x, largest = arrays
    return (_winners(x, largest, attrs).astype(CODE),)


def _argmax_element(e: Elements, node: Node, index: Index) -> Expr:
    """A chain of selects; the elements compared are those that the maximum read."""
    x, _ = node.inputs
    shape = node.result.type.shape
    largest = e.operand(1, index)
    spots = list(combinations(*(range(n) for n in node.attrs["window"])))
    code: Expr = Const(CODE, len(spots) - 1)
    for i, spot in reversed(list(enumerate(spots[:-1]))):
        within = [as_index(p) for p in spot]
        where, conditions = place(node.attrs, x.type.shape, shape, index, within, clamp=True)
        inside = conjunction(conditions)
        guards = () if inside is None else (e.apply("{0}", inside, dtype="bool"),)
        wins = "(({0} == {1}) | ({0} != {0}))" if inside is None else _WINS_INSIDE
        win = e.apply(wins, e.operand(0, where), largest, *guards, dtype="bool")
        code = e.apply("({1} if {0} else {2})", win, Const(CODE, i), code, dtype=CODE)
    return code


_WINS_INSIDE = "((({0} == {1}) | ({0} != {0})) & {2})"


def _with_maxima(sample: Sample) -> Sample:
    """A pooling sample as one of `window_argmax`."""

    def make(rng: np.random.Generator) -> list[Array]:
        (x,) = (np.asarray(a) for a in sample.make(rng))
        view = window_view(x, sample.attrs, -np.inf)
        return [x, np.asarray(view.max(tuple(range(x.ndim, 2 * x.ndim))), x.dtype)]

    symbolic = {0: {0: "N"}, 1: {0: "N"}} if sample.symbolic else {}
    return Sample(make, sample.attrs, symbolic, differentiable=False, label=sample.label)


_TIES = Sample(
    lambda rng: [np.asarray(rng.integers(0, 2, (2, 4, 4, 3)), "float32")],
    {"window": (1, 2, 2, 1), "strides": (1, 1, 1, 1), "padding": ((0, 0),) * 4},
    {0: {0: "N"}},
    label="ties",
)
_LINE = {"window": (3,), "strides": (2,), "padding": ((1, 1),)}


def _is_small(sample: Sample) -> bool:
    return bool(np.prod(sample.attrs["window"]) <= MAX_POSITIONS)


_SMALL = tuple(filter(_is_small, pool_samples(distinct)))

register(
    Op(
        "window_argmax",
        Kind.INJECTIVE,
        "Row-major place in each window of the first element of x that is the window's maximum, "
        "the second operand, or NaN.",
        _argmax_infer,
        _argmax_reference,
        attrs=WINDOW_ATTRS,
        element=_argmax_element,
        cost=8,
        samples=(
            *map(_with_maxima, (*_SMALL, _TIES)),
            Sample(
                given([1, 2, np.nan, 3, -np.inf, np.nan, np.nan], [2, np.nan, np.nan, np.nan]),
                _LINE,
                differentiable=False,
                label="NaN",
            ),
            Sample(
                given([-np.inf] * 7, [-np.inf] * 4), _LINE, differentiable=False, label="infinite"
            ),
        ),
    )
)

# window_scatter


def _scatter_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    op = "window_scatter"
    expect_count(op, types, 2)
    dy, winners = types
    expect_dtype(op, dy, "float")
    expect_length(op, "shape", attrs["shape"], dy.rank)
    result = dy.with_shape(attrs["shape"])
    expected = pooled_type(op, result, attrs)
    if dy != expected:
        fail(op, f"the cotangent must be {expected} for {result}, received {dy}")
    if winners != dy.with_dtype(CODE):
        fail(op, f"the winners must be {dy.with_dtype(CODE)}, received {winners}")
    return (result,)


def _scatter_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    dy, winners = arrays
    return (_scattered(dy, winners, extents(attrs["shape"], sizes), attrs),)


_Covering = tuple[Expr, Expr, list[Expr]]
"""Along one dim, a window that may hold an element: its number, the element's place in it, and
the conditions under which there is such a window."""


def _covering(attrs: Attrs, d: int, extent: Dim, count: Dim, at: Expr) -> list[_Covering]:
    """The windows along dim d that may hold the element at `at`, first window last.

    With padding `low`, window w begins at w * stride - low, so the last one that can hold the
    element is w = (at + low) // stride. Numbers are clamped, so that reading them is safe.
    """
    if is_trivial(attrs, d):
        return [(at, as_index(0), [])]
    assert isinstance(extent, int)
    assert isinstance(count, int)
    window, stride, (low, _) = (attrs[n][d] for n in ("window", "strides", "padding"))
    shifted = at + low if low >= 0 else at - -low
    first: list[Expr] = []
    if low < 0:
        first = [shifted >= 0]
        shifted = _bounded("max", shifted, 0)
    found: list[_Covering] = []
    for back in range(-(-window // stride)):
        w, within = shifted // stride - back, shifted % stride + back * stride
        conditions = list(first)
        if stride - 1 + back * stride >= window:
            conditions.append(within < window)
        number = w
        if back > 0:
            conditions.append(w >= 0)
            number = _bounded("max", number, 0)
        if (extent - 1 + low) // stride - back >= count:
            conditions.append(w < count)
            number = _bounded("min", number, count - 1)
        found.append((number, within, conditions))
    return found


def _bounded(which: str, value: Expr, bound: int) -> Expr:
    return Apply(INDEX, f"{which}({{0}}, {{1}})", (value, as_index(bound)))


def _scatter_element(e: Elements, node: Node, index: Index) -> Expr:
    """Sum over the windows that hold the element of what it won, in any case without a branch."""
    attrs, dtype = node.attrs, node.result.type.dtype
    x, y = node.result.type.shape, node.inputs[0].type.shape
    choices = [_covering(attrs, d, x[d], y[d], index[d]) for d in range(len(x))]
    total: Expr | None = None
    for windows in combinations(*choices):
        where = [number for number, _, _ in windows]
        code: Expr = as_index(0)
        for size, (_, within, _) in zip(attrs["window"], windows, strict=True):
            code = code * size + within
        inside = conjunction([c for _, _, conditions in windows for c in conditions])
        if inside is None:
            code = e.apply("{T}({0})", code, dtype=CODE)
        else:
            outside = as_index(NOWHERE)
            code = e.apply("{T}({0} if {1} else {2})", code, inside, outside, dtype=CODE)
        won = e.apply("({0} == {1})", e.operand(1, where), code, dtype="bool")
        share = e.apply("({1} if {0} else {T}(0))", won, e.operand(0, where), dtype=dtype)
        total = share if total is None else e.apply("({0} + {1})", total, share, dtype=dtype)
    assert total is not None
    return total


def _scattered_windows(node: Node) -> Scattered | None:
    """The windows, where each element of the result is in one of them at most."""
    attrs = node.attrs
    apart = attrs["window"] == attrs["strides"] and not any(map(any, attrs["padding"]))
    return Scattered(tuple(attrs["window"])) if apart else None


def _scatter_samples() -> tuple[Sample, ...]:
    """The samples of pooling as samples of `window_scatter`."""
    shapes: list[tuple[int, ...]] = []

    def noted(shape: tuple[int, ...]) -> Make:
        shapes.append(shape)
        return distinct(shape)

    both = zip(pool_samples(noted), shapes, strict=True)
    return tuple(_to_scatter(sample, shape) for sample, shape in both if _is_small(sample))


def _to_scatter(sample: Sample, shape: tuple[int, ...]) -> Sample:
    """A pooling sample as one of `window_scatter`; some winners lie in the padding."""

    def make(rng: np.random.Generator) -> list[Array]:
        pooled = pooled_type("window_scatter", TensorType(shape), sample.attrs).concrete({})
        winners = rng.integers(0, np.prod(sample.attrs["window"]), pooled)
        return [np.asarray(rng.standard_normal(pooled), "float32"), winners.astype(CODE)]

    symbolic = {0: {0: "N"}, 1: {0: "N"}} if sample.symbolic else {}
    result: Shape = (N, *shape[1:]) if sample.symbolic else shape
    attrs = {"shape": result, **sample.attrs}
    return Sample(make, attrs, symbolic, differentiable=False, label=sample.label)


register(
    Op(
        "window_scatter",
        Kind.INJECTIVE,
        "Zeros of a shape, plus every window's element of the first operand at the place in the "
        "window that the second says. It can be differentiated no further.",
        _scatter_infer,
        _scatter_reference,
        attrs=(Attr("shape", tuple), *WINDOW_ATTRS),
        element=_scatter_element,
        scattered=_scattered_windows,
        cost=4,
        samples=_scatter_samples(),
    )
)

# window_max_grad


def _grad_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("window_max_grad", types, 2)
    x, dy = types
    expect_dtype("window_max_grad", x, "float")
    expected = pooled_type("window_max_grad", x, attrs)
    if dy != expected:
        fail("window_max_grad", f"the cotangent must be {expected} for {x}, received {dy}")
    return (x,)


def _grad_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    x, dy = arrays
    window_axes = tuple(range(x.ndim, 2 * x.ndim))
    with np.errstate(all="ignore"):
        largest = np.maximum.reduce(window_view(x, attrs, -np.inf), window_axes)
    return (_scattered(dy, _winners(x, largest, attrs), x.shape, attrs),)


def _with_dy(sample: Sample) -> Sample:
    """A pooling sample as one of `window_max_grad`."""

    def make(rng: np.random.Generator) -> list[Array]:
        (x,) = sample.make(rng)
        pooled = pooled_type("window_max_grad", TensorType(x.shape), sample.attrs)
        return [x, np.asarray(rng.standard_normal(pooled.concrete({})), "float32")]

    symbolic = {0: {0: "N"}, 1: {0: "N"}} if sample.symbolic else {}
    return Sample(make, sample.attrs, symbolic, differentiable=False, label=sample.label)


class _Pool:
    """Extents of a pooling: leading dims without windows, dims with, trailing dims without."""

    def __init__(self, node: Node) -> None:
        x, dy = node.inputs
        moving = [d for d in range(x.type.rank) if not is_trivial(node.attrs, d)]
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
    with k.parallel(pool.outer, "o") as o:
        base = k.let("base", o * x_size * inner)
        with k.loop(base, base + x_size * inner, "i") as i:
            k.store(0, i, Const(pool.dtype, 0))
        with k.loop(0, y_size, "w") as w:
            y = _unravel(k, w, pool.y)
            source = k.let("source", (o * y_size + w) * inner)
            _walk(k, pool, y, base, source)


def _unravel(k: Loops, flat: Expr, shape: Sequence[Dim]) -> list[Expr]:
    position: list[Expr] = []
    for d in range(len(shape)):
        stride = k.size(product(shape[d + 1 :]))
        at = flat // stride
        position.append(k.let(f"y{d}", at if d == 0 else at % k.size(shape[d])))
    return position


def _replaces(k: Loops, value: Expr, best: Expr) -> Expr:
    return k.apply("(({0} > {1}) | (({0} != {0}) & ({1} == {1})))", value, best, dtype="bool")


def _walk(k: Loops, pool: _Pool, y: Sequence[Expr], base: Expr, source: Expr) -> None:
    """The positions of one window: a loop that remembers the offset of the best element."""
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


register(
    Op(
        "window_max_grad",
        Kind.OPAQUE,
        "Adds each window's cotangent to the first of its largest elements in row-major order.",
        _grad_infer,
        _grad_reference,
        attrs=WINDOW_ATTRS,
        loops=_grad_loops,
        samples=tuple(map(_with_dy, (*pool_samples(distinct), _TIES))),
    )
)
